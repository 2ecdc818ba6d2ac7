# Admission plugins that are switched on, off, and configured; and what is wrong with that is said
# before anything is served.

case_admission_flags() {
  refused_start() { # PATTERN FLAG...
    local pattern=$1
    shift
    fails_with "$pattern" "$WHERRY" server --disable-agent --data-dir "$FOLDER/x" --bind-address 127.0.0.1 \
      --https-listen-port 0 --write-kubeconfig "$FOLDER/x.yaml" "$@"
  }
  refused_start 'enable-admission-plugins plugin "Bogus" is unknown' --enable-admission-plugins LimitRanger,Bogus
  refused_start '^wherry server: \[LimitRanger\] in enable-admission-plugins and disable-admission-plugins overlapped$' \
    --enable-admission-plugins LimitRanger --disable-admission-plugins PodSecurity --disable-admission-plugins LimitRanger
  refused_start 'enable-admission-plugins plugin "EventRateLimit" is not built' --enable-admission-plugins EventRateLimit
  WHERRY_DISABLE_ADMISSION_PLUGINS=Nothing refused_start 'disable-admission-plugins plugin "Nothing" is unknown'
  printf 'enable-admission-plugins: [NodeRestriction, Other]\n' > "$FOLDER/config.yaml"
  refused_start 'enable-admission-plugins plugin "Other" is unknown' --config "$FOLDER/config.yaml"
  refused_start 'unable to read admission control configuration from ".*/none.yaml"' \
    --admission-control-config-file "$FOLDER/none.yaml"
  printf 'apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins: [{name: PodSecurity, path: ps.yaml}]\n' > "$FOLDER/admission.yaml"
  printf 'apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\ndefaults: {enforce: bad}\n' > "$FOLDER/ps.yaml"
  refused_start 'PodSecurity configuration error: enforce: must be one of privileged, baseline, restricted' \
    --admission-control-config-file "$FOLDER/admission.yaml"
  [ ! -e "$FOLDER/x.yaml" ] || fail 'a server with wrong flags wrote a kubeconfig'
}

case_admission_plugins() {
  printf 'apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins: [{name: PodSecurity, path: ps.yaml}]\n' > "$FOLDER/admission.yaml"
  printf 'apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\ndefaults: {enforce: baseline}\nexemptions: {namespaces: [kube-system]}\n' > "$FOLDER/ps.yaml"
  printf 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata, users: [system:admin], resources: [{group: "", resources: [pods]}]}]\n' > "$FOLDER/policy.yaml"
  plane_start --enable-admission-plugins ExtendedResourceToleration --enable-admission-plugins OwnerReferencesPermissionEnforcement \
    --disable-admission-plugins DefaultTolerationSeconds,ServiceAccount --admission-control-config-file "$FOLDER/admission.yaml" \
    --audit-policy-file "$FOLDER/policy.yaml" --audit-log-path "$FOLDER/audit.log"
  pod() { printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{%s"containers":[{"name":"c","image":"x","resources":{"limits":{"example.com/gpu":"1"}}}]}}' "$1"; }
  answer POST '/api/v1/namespaces/default/pods?dryRun=All' application/json "$(pod '')"
  same "$STATUS $(jq -c .spec.tolerations <<< "$BODY")" '201 [{"key":"example.com/gpu","operator":"Exists","effect":"NoSchedule"}]'
  answer POST '/api/v1/namespaces/default/pods?dryRun=All' application/json "$(pod '"hostNetwork":true,')"
  same "$STATUS $(jq -r .message <<< "$BODY")" '403 pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
  answer POST '/api/v1/namespaces/kube-system/pods?dryRun=All' application/json "$(pod '"hostNetwork":true,')"
  same "$STATUS" 201
  audited() { grep -q '"pod-security.kubernetes.io/exempt":"namespace"' "$FOLDER/audit.log"; }
  eventually 10 audited
}
