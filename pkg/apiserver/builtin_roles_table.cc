// The table of builtin_roles.h: the roles and bindings that Kubernetes v1.36 makes on its first
// start.

#include "apiserver/builtin_roles.h"

namespace wherry::apiserver {

constinit const std::string_view kBuiltinRoles = R"(
role admin from admin
role cluster-admin
  * * *
  * *
role edit to admin from edit
role system:aggregate-to-admin to admin
  authorization.k8s.io localsubjectaccessreviews create
  rbac.authorization.k8s.io rolebindings,roles create,delete,deletecollection,get,list,patch,update,
      watch
role system:aggregate-to-edit to edit
  - pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy get,list,watch
  - serviceaccounts impersonate
  - pods,pods/attach,pods/exec,pods/portforward,pods/proxy create,delete,deletecollection,patch,
      update
  - pods/eviction create
  - configmaps,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,
      serviceaccounts,services,services/proxy create,delete,deletecollection,patch,update
  - serviceaccounts/token create
  -,events.k8s.io events create,delete,deletecollection,patch,update
  apps daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,
      statefulsets,statefulsets/scale create,delete,deletecollection,patch,update
  autoscaling horizontalpodautoscalers create,delete,deletecollection,patch,update
  batch cronjobs,jobs create,delete,deletecollection,patch,update
  extensions daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,
      networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale create,delete,
      deletecollection,patch,update
  policy poddisruptionbudgets create,delete,deletecollection,patch,update
  networking.k8s.io ingresses,networkpolicies create,delete,deletecollection,patch,update
  coordination.k8s.io leases create,delete,deletecollection,get,list,patch,update,watch
  resource.k8s.io resourceclaims,resourceclaimtemplates create,delete,deletecollection,patch,update
role system:aggregate-to-view to view
  - configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,
      replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status
      get,list,watch
  - bindings,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,
      resourcequotas,resourcequotas/status get,list,watch
  - namespaces get,list,watch
  -,events.k8s.io events get,list,watch
  discovery.k8s.io endpointslices get,list,watch
  apps controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,
      deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,
      statefulsets/scale,statefulsets/status get,list,watch
  autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status get,list,watch
  batch cronjobs,cronjobs/status,jobs,jobs/status get,list,watch
  extensions daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,
      ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,
      replicationcontrollers/scale get,list,watch
  policy poddisruptionbudgets,poddisruptionbudgets/status get,list,watch
  networking.k8s.io ingresses,ingresses/status,networkpolicies get,list,watch
  resource.k8s.io resourceclaims,resourceclaims/status,resourceclaimtemplates get,list,watch
role system:auth-delegator
  authentication.k8s.io tokenreviews create
  authorization.k8s.io subjectaccessreviews create
role system:basic-user
  authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews create
  authentication.k8s.io selfsubjectreviews create
role system:certificates.k8s.io:certificatesigningrequests:nodeclient
  certificates.k8s.io certificatesigningrequests/nodeclient create
role system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
  certificates.k8s.io certificatesigningrequests/selfnodeclient create
role system:certificates.k8s.io:kube-apiserver-client-approver
  certificates.k8s.io signers approve kubernetes.io/kube-apiserver-client
role system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
  certificates.k8s.io signers approve kubernetes.io/kube-apiserver-client-kubelet
role system:certificates.k8s.io:kubelet-serving-approver
  certificates.k8s.io signers approve kubernetes.io/kubelet-serving
role system:certificates.k8s.io:legacy-unknown-approver
  certificates.k8s.io signers approve kubernetes.io/legacy-unknown
controller attachdetach-controller
  - persistentvolumeclaims,persistentvolumes list,watch
  - nodes get,list,watch
  - nodes/status patch,update
  - pods list,watch
  -,events.k8s.io events create,patch,update
  storage.k8s.io volumeattachments create,delete,get,list,watch
  storage.k8s.io csidrivers get,list,watch
  storage.k8s.io csinodes get,list,watch
controller certificate-controller
  certificates.k8s.io certificatesigningrequests delete,get,list,watch
  certificates.k8s.io certificatesigningrequests/approval,certificatesigningrequests/status update
  certificates.k8s.io signers approve kubernetes.io/kube-apiserver-client-kubelet
  certificates.k8s.io signers sign kubernetes.io/kube-apiserver-client,
      kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/kubelet-serving,
      kubernetes.io/legacy-unknown
  authorization.k8s.io subjectaccessreviews create
  -,events.k8s.io events create,patch,update
controller clusterrole-aggregation-controller
  rbac.authorization.k8s.io clusterroles escalate,get,list,patch,update,watch
controller cronjob-controller
  batch cronjobs get,list,update,watch
  batch jobs create,delete,get,list,patch,update,watch
  batch cronjobs/status update
  batch cronjobs/finalizers update
  - pods delete,list,watch
  -,events.k8s.io events create,patch,update
controller daemon-set-controller
  apps,extensions daemonsets get,list,watch
  apps,extensions daemonsets/status update
  apps,extensions daemonsets/finalizers update
  - nodes list,watch
  - pods create,delete,list,patch,watch
  - pods/binding create
  apps controllerrevisions create,delete,get,list,patch,update,watch
  -,events.k8s.io events create,patch,update
controller deployment-controller
  apps,extensions deployments get,list,update,watch
  apps,extensions deployments/status update
  apps,extensions deployments/finalizers update
  apps,extensions replicasets create,delete,get,list,patch,update,watch
  - pods get,list,update,watch
  -,events.k8s.io events create,patch,update
controller device-taint-eviction-controller
  - pods delete,get,list,watch
  - pods/status patch,update
  resource.k8s.io resourceclaims get,list,watch
  resource.k8s.io resourceslices get,list,watch
  resource.k8s.io deviceclasses get,list,watch
  -,events.k8s.io events create,patch,update
controller disruption-controller
  apps,extensions deployments get,list,watch
  apps,extensions replicasets get,list,watch
  - replicationcontrollers get,list,watch
  policy poddisruptionbudgets get,list,watch
  apps statefulsets get,list,watch
  policy poddisruptionbudgets/status update
  - pods/status patch,update
  * */scale get
  -,events.k8s.io events create,patch,update
controller endpoint-controller
  - pods,services get,list,watch
  - endpoints create,delete,get,list,update,watch
  - endpoints/restricted create
  -,events.k8s.io events create,patch,update
controller endpointslice-controller
  - nodes,pods,services get,list,watch
  - services/finalizers update
  discovery.k8s.io endpointslices create,delete,get,list,update,watch
  -,events.k8s.io events create,patch,update
controller endpointslicemirroring-controller
  - endpoints,services get,list,watch
  - services/finalizers update
  - endpoints/finalizers update
  discovery.k8s.io endpointslices create,delete,get,list,update,watch
  -,events.k8s.io events create,patch,update
controller ephemeral-volume-controller
  - pods get,list,watch
  - pods/finalizers update
  - persistentvolumeclaims create,get,list,watch
  -,events.k8s.io events create,patch,update
controller expand-controller
  - persistentvolumes get,list,patch,update,watch
  - persistentvolumeclaims/status patch,update
  - persistentvolumeclaims get,list,watch
  -,events.k8s.io events create,patch,update
controller generic-garbage-collector
  * * delete,get,list,patch,update,watch
  -,events.k8s.io events create,patch,update
controller horizontal-pod-autoscaler
  autoscaling horizontalpodautoscalers get,list,watch
  autoscaling horizontalpodautoscalers/status update
  * */scale get,update
  - pods list,watch
  metrics.k8s.io pods list,watch
  custom.metrics.k8s.io * get,list,watch
  external.metrics.k8s.io * get,list,watch
  -,events.k8s.io events create,patch,update
controller job-controller
  batch jobs get,list,patch,update,watch
  batch jobs/status update
  batch jobs/finalizers update
  - pods create,delete,list,patch,watch
  -,events.k8s.io events create,patch,update
controller legacy-service-account-token-cleaner
  - configmaps get kube-apiserver-legacy-service-account-token-tracking
  - secrets delete,patch
controller namespace-controller
  - namespaces delete,get,list,watch
  - namespaces/finalize,namespaces/status update
  * * delete,deletecollection,get,list,watch
controller node-controller
  - nodes delete,get,list,patch,update,watch
  - nodes/status patch,update
  - pods/status patch,update
  - pods delete,get,list,watch
  -,events.k8s.io events create,patch,update
controller persistent-volume-binder
  - persistentvolumes create,delete,get,list,update,watch
  - persistentvolumes/status update
  - persistentvolumeclaims get,list,update,watch
  - persistentvolumeclaims/status update
  - pods create,delete,get,list,watch
  storage.k8s.io storageclasses get,list,watch
  - nodes list,watch
  -,events.k8s.io events create,patch,update
  - events watch
controller pod-garbage-collector
  - pods delete,list,watch
  - nodes get,list,watch
  - pods/status patch
controller pv-protection-controller
  - persistentvolumes get,list,update,watch
  -,events.k8s.io events create,patch,update
controller pvc-protection-controller
  - persistentvolumeclaims get,list,update,watch
  - persistentvolumeclaims/status update
  - pods get,list,watch
  -,events.k8s.io events create,patch,update
controller replicaset-controller
  apps,extensions replicasets get,list,update,watch
  apps,extensions replicasets/status update
  apps,extensions replicasets/finalizers update
  - pods create,delete,list,patch,watch
  -,events.k8s.io events create,patch,update
controller replication-controller
  - replicationcontrollers get,list,update,watch
  - replicationcontrollers/status update
  - replicationcontrollers/finalizers update
  - pods create,delete,list,patch,watch
  -,events.k8s.io events create,patch,update
controller resource-claim-controller
  - pods get,list,watch
  - pods/finalizers update
  resource.k8s.io resourceclaims create,delete,get,list,watch
  resource.k8s.io resourceclaims,resourceclaims/status patch,update
  - pods/status patch,update
  -,events.k8s.io events create,patch,update
  resource.k8s.io resourceclaims/binding patch,update
controller resourcequota-controller
  * * list,watch
  - resourcequotas/status update
  -,events.k8s.io events create,patch,update
controller root-ca-cert-publisher
  - configmaps create,update
  -,events.k8s.io events create,patch,update
controller route-controller
  - nodes list,watch
  - nodes/status patch
  -,events.k8s.io events create,patch,update
controller selinux-warning-controller
  -,events.k8s.io events create,patch,update
  - persistentvolumes get,list,watch
  - persistentvolumeclaims get,list,watch
  - pods get,list,watch
  storage.k8s.io csidrivers get,list,watch
controller service-account-controller
  - serviceaccounts create
  -,events.k8s.io events create,patch,update
controller service-cidrs-controller
  networking.k8s.io servicecidrs get,list,patch,update,watch
  networking.k8s.io servicecidrs/finalizers patch,update
  networking.k8s.io servicecidrs/status patch,update
  networking.k8s.io ipaddresses get,list,watch
  -,events.k8s.io events create,patch,update
controller service-controller
  - services get,list,watch
  - services/status patch,update
  - nodes list,watch
  -,events.k8s.io events create,patch,update
controller statefulset-controller
  - pods list,watch
  apps statefulsets get,list,watch
  apps statefulsets/status update
  apps statefulsets/finalizers update
  - pods create,delete,get,patch,update
  apps controllerrevisions create,delete,get,list,patch,update,watch
  - persistentvolumeclaims create,get,list,watch
  - persistentvolumeclaims delete,update
  - pods/finalizers update
  -,events.k8s.io events create,patch,update
controller ttl-after-finished-controller
  batch jobs delete,get,list,watch
  -,events.k8s.io events create,patch,update
controller ttl-controller
  - nodes list,patch,update,watch
  -,events.k8s.io events create,patch,update
controller validatingadmissionpolicy-status-controller
  admissionregistration.k8s.io validatingadmissionpolicies get,list,watch
  admissionregistration.k8s.io validatingadmissionpolicies/status get,patch,update
  -,events.k8s.io events create,patch,update
controller volumeattributesclass-protection-controller
  - persistentvolumeclaims get,list,watch
  - persistentvolumes get,list,watch
  storage.k8s.io volumeattributesclasses get,list,update,watch
  -,events.k8s.io events create,patch,update
role system:discovery
  /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/ get
role system:heapster
  - events,namespaces,nodes,pods get,list,watch
  extensions deployments get,list,watch
role system:kube-aggregator
  - endpoints,services get,list,watch
role system:kube-controller-manager
  -,events.k8s.io events create,patch,update
  coordination.k8s.io leases create
  coordination.k8s.io leases get,update kube-controller-manager
  - secrets,serviceaccounts create
  - secrets delete
  - configmaps,namespaces,secrets,serviceaccounts get
  - secrets,serviceaccounts update
  authentication.k8s.io tokenreviews create
  authorization.k8s.io subjectaccessreviews create
  * * list,watch
  - serviceaccounts/token create
role system:kube-dns
  - endpoints,services list,watch
role system:kube-scheduler
  -,events.k8s.io events create,patch,update
  coordination.k8s.io leases create
  coordination.k8s.io leases get,list,update,watch kube-scheduler
  coordination.k8s.io leasecandidates create,delete,deletecollection,get,list,patch,update,watch
  - nodes get,list,watch
  - pods delete,get,list,watch
  - bindings,pods/binding create
  - pods/status patch,update
  - replicationcontrollers,services get,list,watch
  apps,extensions replicasets get,list,watch
  apps statefulsets get,list,watch
  policy poddisruptionbudgets get,list,watch
  - persistentvolumeclaims,persistentvolumes get,list,watch
  authentication.k8s.io tokenreviews create
  authorization.k8s.io subjectaccessreviews create
  storage.k8s.io csinodes get,list,watch
  storage.k8s.io volumeattachments get,list,watch
  - namespaces get,list,watch
  storage.k8s.io csidrivers get,list,watch
  storage.k8s.io csistoragecapacities get,list,watch
  resource.k8s.io deviceclasses get,list,watch
  resource.k8s.io resourceclaims get,list,patch,update,watch
  resource.k8s.io resourceclaims/status get,list,patch,update,watch
  - pods/finalizers update
  resource.k8s.io resourceslices get,list,watch
  resource.k8s.io resourceclaims create,delete
  resource.k8s.io resourceclaims/binding patch,update
role system:kubelet-api-admin
  - nodes get,list,watch
  - nodes proxy
  - nodes/log,nodes/metrics,nodes/proxy,nodes/stats *
  - nodes/configz,nodes/healthz,nodes/pods *
role system:monitoring
  /flagz,/healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*,/statusz get
  - nodes/metrics get
role system:node
  authentication.k8s.io tokenreviews create
  authorization.k8s.io localsubjectaccessreviews,subjectaccessreviews create
  - services get,list,watch
  - nodes create,get,list,watch
  - nodes/status patch,update
  - nodes patch,update
  -,events.k8s.io events create,patch,update
  - pods get,list,watch
  - pods create,delete
  - pods/status patch,update
  - pods/eviction create
  - configmaps,secrets get,list,watch
  - persistentvolumeclaims,persistentvolumes get
  - endpoints get
  certificates.k8s.io certificatesigningrequests create,get,list,watch
  coordination.k8s.io leases create,delete,get,patch,update
  storage.k8s.io volumeattachments get
  - serviceaccounts/token create
  - persistentvolumeclaims/status get,patch,update
  storage.k8s.io csidrivers get,list,watch
  storage.k8s.io csinodes create,delete,get,patch,update
  node.k8s.io runtimeclasses get,list,watch
  resource.k8s.io resourceclaims get
  resource.k8s.io resourceslices deletecollection
  - serviceaccounts get
role system:node-bootstrapper
  certificates.k8s.io certificatesigningrequests create,get,list,watch
role system:node-problem-detector
  - nodes get
  - nodes/status patch
  -,events.k8s.io events create,patch,update
role system:node-proxier
  - endpoints,services list,watch
  - nodes get,list,watch
  -,events.k8s.io events create,patch,update
  networking.k8s.io servicecidrs list,watch
  discovery.k8s.io endpointslices list,watch
role system:persistent-volume-provisioner
  - persistentvolumes create,delete,get,list,watch
  - persistentvolumeclaims get,list,update,watch
  storage.k8s.io storageclasses get,list,watch
  - events watch
  -,events.k8s.io events create,patch,update
role system:public-info-viewer
  /healthz,/livez,/readyz,/version,/version/ get
role system:service-account-issuer-discovery
  /.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,
      /openid/v1/jwks/ get
role system:volume-scheduler
  - persistentvolumes get,list,patch,update,watch
  storage.k8s.io storageclasses get,list,watch
  - persistentvolumeclaims get,list,patch,update,watch
role view to edit from view
role kube-public/system:controller:bootstrap-signer
  - configmaps get,list,watch
  - configmaps update cluster-info
  -,events.k8s.io events create,patch,update
role kube-system/extension-apiserver-authentication-reader
  - configmaps get,list,watch extension-apiserver-authentication
role kube-system/system::leader-locking-kube-controller-manager
  coordination.k8s.io leases create,get,list,update,watch
  coordination.k8s.io leasecandidates create,get,list,update,watch
role kube-system/system::leader-locking-kube-scheduler
  coordination.k8s.io leases create,get,list,update,watch
  coordination.k8s.io leasecandidates create,get,list,update,watch
role kube-system/system:controller:bootstrap-signer
  - secrets get,list,watch
role kube-system/system:controller:cloud-provider
  - configmaps create,get,list,watch
role kube-system/system:controller:token-cleaner
  - secrets delete,get,list,watch
  -,events.k8s.io events create,patch,update
bind cluster-admin group:system:masters
bind system:basic-user group:system:authenticated
bind system:discovery group:system:authenticated
bind system:kube-controller-manager user:system:kube-controller-manager
bind system:kube-dns account:kube-system/kube-dns
bind system:kube-scheduler user:system:kube-scheduler
bind system:monitoring group:system:monitoring
bind system:node
bind system:node-proxier user:system:kube-proxy
bind system:public-info-viewer group:system:authenticated group:system:unauthenticated
bind system:service-account-issuer-discovery group:system:serviceaccounts
bind system:volume-scheduler user:system:kube-scheduler
bind kube-public/system:controller:bootstrap-signer account:kube-system/bootstrap-signer
bind kube-system/system::extension-apiserver-authentication-reader as
      extension-apiserver-authentication-reader user:system:kube-controller-manager
      user:system:kube-scheduler
bind kube-system/system::leader-locking-kube-controller-manager user:system:kube-controller-manager
      account:kube-system/kube-controller-manager account:kube-system/leader-election-controller
bind kube-system/system::leader-locking-kube-scheduler user:system:kube-scheduler
      account:kube-system/kube-scheduler
bind kube-system/system:controller:bootstrap-signer account:kube-system/bootstrap-signer
bind kube-system/system:controller:cloud-provider account:kube-system/cloud-provider
bind kube-system/system:controller:token-cleaner account:kube-system/token-cleaner
)";

}  // namespace wherry::apiserver
