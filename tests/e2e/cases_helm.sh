# A chart's whole life with the real helm: install, test, upgrade, rollback, uninstall.

helm() {
  HOME=$WORLD/home in_node timeout "${LIMIT:-120}" "${LIBRARIES[helm]}" --kubeconfig "$KUBECONFIG_FILE" -n "$SPACE" "$@"
}
revision_is() { has "$(helm list -o json | jq -r '.[] | "\(.name) \(.revision) \(.status)"')" "^$1 $2 deployed$"; }

case_helm_release() {
  [ -n "${LIBRARIES[helm]:-}" ] || skip 'helm could not be had, see the start'
  local out key chart=tests/e2e/helm/chart
  has "$(helm install shop $chart --dry-run=server)" 'kind: Deployment'
  same "$(k get deployments -o name)" ''
  out=$(helm install shop $chart --wait --timeout 60s)
  has "$out" '^STATUS: deployed$'
  has "$out" 'shop runs on Kubernetes v1\.[0-9]+'
  revision_is shop 1
  is deployment/shop '{.status.readyReplicas}' 2
  fails_with 'pods "shop-prepare" not found' k get pod shop-prepare
  has "$(helm test shop --logs)" 'the page is there'
  key=$(k get secret shop-key -o 'jsonpath={.data.key}')

  helm upgrade shop $chart --set message=changed,replicas=1 --wait --timeout 60s
  revision_is shop 2
  is deployment/shop '{.spec.replicas} {.status.readyReplicas}' '1 1'
  has "$(k exec deploy/shop -- cat /config/message)" '^changed$'
  is secret/shop-key '{.data.key}' "$key"
  helm upgrade shop $chart --set scaling=true,replicas=1 --wait --timeout 60s
  is hpa/shop '{.spec.maxReplicas}' 3

  # A change by hand outside the chart stays, one inside is taken back.
  k label deployment shop mine=yes
  k scale deployment shop --replicas=3
  helm rollback shop 1 --wait --timeout 60s
  revision_is shop 4
  is deployment/shop '{.spec.replicas} {.metadata.labels.mine}' '2 yes'
  is configmap/shop-config '{.data.message}' hello
  fails_with 'not found' k get hpa shop
  has "$(helm history shop)" 'Rollback to 1'

  fails_with 'cannot re-use a name that is still in use' helm install shop $chart
  fails_with 'exists and cannot be imported into the current release' helm install other $chart \
    --set-string nameOverride=x --post-renderer tests/e2e/helm/as-shop.sh
  helm uninstall shop --wait --timeout 60s
  same "$(helm list -a -q)" ''
  same "$(k get deployments,services,secrets,ingresses,roles,pdb -o name)" ''
}

# An upgrade whose pods never come up fails in time, and goes back by itself.
case_helm_atomic_upgrade() {
  local chart=tests/e2e/helm/chart
  [ -n "${LIBRARIES[helm]:-}" ] || skip 'helm could not be had, see the start'
  helm install shop $chart --wait --timeout 60s
  fails_with 'has been rolled back' helm upgrade shop $chart --atomic --timeout 8s --no-hooks \
    --set image=example.test/none:1
  has "$(helm list -o json)" '"status":"deployed"'
  is deployment/shop '{.spec.template.spec.containers[0].image}' example.test/box:1
}
