# Who may do what, as people arrange it with kubectl.

# A kubeconfig at $1 that speaks as the ServiceAccount $2 of this case's namespace.
account_kubeconfig() {
  local file=$1 account=$2
  kubectl_in "${VARIANT:-$NEWEST}" config view --raw --minify -o json |
    jq --arg token "$(k create token "$account")" --arg ns "$SPACE" \
      '.users[0].user = {token: $token} | .contexts[0].context.namespace = $ns' > "$file"
}

as_account() { # FILE ARGUMENT...
  local file=$1
  shift
  HOME=$WORLD/home in_node timeout 90 "${CLIENTS[${VARIANT:-$NEWEST}]}" --kubeconfig "$file" "$@"
}

case_client_access_one_namespace() {
  k create serviceaccount reader > /dev/null
  k create configmap thing --from-literal=a=b > /dev/null
  has "$(k create role reader --verb=get,list,watch --resource=configmaps)" 'role.rbac.authorization.k8s.io/reader created'
  has "$(k create rolebinding reader --role=reader --serviceaccount="$SPACE:reader")" 'rolebinding.rbac.authorization.k8s.io/reader created'
  account_kubeconfig "$FILES/reader" reader
  same "$(as_account "$FILES/reader" get configmap thing -o 'jsonpath={.data.a}')" b
  fails_with "User \"system:serviceaccount:$SPACE:reader\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\"" \
    as_account "$FILES/reader" -n default get configmaps
  fails_with 'cannot list resource "secrets"' as_account "$FILES/reader" get secrets
  fails_with 'cannot delete resource "configmaps"' as_account "$FILES/reader" delete configmap thing
  same "$(as_account "$FILES/reader" auth can-i get configmaps)" yes
  same "$(as_account "$FILES/reader" auth can-i create configmaps)" no
  has "$(as_account "$FILES/reader" auth can-i --list)" '^configmaps +\[\] +\[\] +\[get list watch\]'
  has "$(as_account "$FILES/reader" auth whoami)" "^Username +system:serviceaccount:$SPACE:reader"
  k delete rolebinding reader > /dev/null
  fails_with 'cannot get resource "configmaps"' as_account "$FILES/reader" get configmap thing
}

case_client_access_as_somebody_else() {
  k create rolebinding viewer --clusterrole=view --user=jane > /dev/null
  same "$(k auth can-i list pods --as jane)" yes
  same "$(k auth can-i list secrets --as jane)" no
  same "$(k get pods --as jane -o name)" ''
  fails_with 'User "jane" cannot create resource "configmaps"' k create configmap thing --as jane
  k create rolebinding editor --clusterrole=edit --group=writers > /dev/null
  has "$(k create configmap thing --as jane --as-group writers)" 'configmap/thing created'
  fails_with 'is attempting to grant RBAC permissions not currently held|cannot create resource "rolebindings"' \
    k create rolebinding own --clusterrole=cluster-admin --user=jane --as jane
}

case_client_access_reconcile() {
  cat > "$FILES/role.yaml" <<Y
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: worker, namespace: $SPACE}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: worker, namespace: $SPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: worker}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]
Y
  has "$(k auth reconcile -f "$FILES/role.yaml")" 'role.rbac.authorization.k8s.io/worker reconciled'
  same "$(k auth can-i list pods --as jane)" yes
  sed -i 's/\[get, list\]/[watch]/' "$FILES/role.yaml"
  k auth reconcile -f "$FILES/role.yaml" > /dev/null
  same "$(k auth can-i watch pods --as jane)" yes
  same "$(k auth can-i list pods --as jane)" yes
  sed -i 's/name: worker}$/name: other}/' "$FILES/role.yaml"
  fails_with 'cannot change roleRef' k apply -f "$FILES/role.yaml"
}

# A pod speaks to the API as its ServiceAccount.
case_node_access_from_a_pod() {
  k create serviceaccount robot > /dev/null
  k create role robot --verb=get --resource=pods > /dev/null
  k create rolebinding robot --role=robot --serviceaccount="$SPACE:robot" > /dev/null
  k apply -f - > /dev/null <<Y
apiVersion: v1
kind: Pod
metadata: {name: robot}
spec:
  serviceAccountName: robot
  restartPolicy: Never
  containers: [{name: box, image: $BOX, command: [sleep, "600"]}]
Y
  k wait --for=condition=Ready pod/robot --timeout=30s > /dev/null
  local token
  token=$(k exec robot -- cat /var/run/secrets/kubernetes.io/serviceaccount/token)
  as_token() { in_node curl -sk -H "Authorization: Bearer $token" "https://127.0.0.1:6443$1"; }
  same "$(as_token "/api/v1/namespaces/$SPACE/pods/robot" | jq -r .kind)" Pod
  same "$(as_token "/api/v1/namespaces/$SPACE/pods" | jq -r .reason)" Forbidden
  same "$(as_token /api | jq -r .kind)" APIVersions
  same "$(as_token /openid/v1/jwks | jq -r '.keys[0].use')" sig
  same "$(in_node curl -sk https://127.0.0.1:6443/readyz)" ok
  same "$(in_node curl -sk https://127.0.0.1:6443/api | jq -r .message)" \
    'forbidden: User "system:anonymous" cannot get path "/api"'
}
