# A set of manifests in the manner of well-known charts (manifests/), applied to a control plane of its
# own on loopback: the pods that they ask for could not be pulled, and need not be.

plane_open() {
  FOLDER=$FILES/plane
  mkdir -p "$FOLDER"
  source tests/lib/control_plane.sh
  plane_start
  trap 'plane_stop KILL; end_jobs' EXIT
  on_plane create namespace harbour
  eventually 20 on_plane get serviceaccount default
}

on_plane() { HOME=$WORLD/home timeout 120 "${CLIENTS[$NEWEST]}" --kubeconfig "$FOLDER/admin.yaml" -n harbour "$@"; }

# Twice: what an upstream server would have kubectl call "configured" then, since the server writes it
# in another way than the manifest, stands in configured.txt.
case_plane_manifests_client_side() {
  local out
  plane_open
  out=$(on_plane apply -f tests/e2e/manifests)
  lacks "$out" ' (configured|unchanged)$'
  same "$(grep -c ' created$' <<< "$out")" 95
  out=$(on_plane apply -f tests/e2e/manifests)
  same "$(grep -v ' unchanged$' <<< "$out" | sort)" "$(sort tests/e2e/manifests/configured.txt)"
}

case_plane_manifests_server_side() {
  plane_open
  lacks "$(on_plane apply --server-side -f tests/e2e/manifests)" 'unchanged'
  # Once the controllers have had their say.
  eventually 60 apply_moves_nothing
}

plane_revisions() {
  on_plane get -f tests/e2e/manifests --no-headers -o custom-columns=K:.kind,N:.metadata.name,R:.metadata.resourceVersion
}

apply_moves_nothing() {
  local before
  before=$(plane_revisions)
  on_plane apply --server-side -f tests/e2e/manifests
  same "$(plane_revisions)" "$before"
}

# Not built yet: what guards volumes in use, CustomResourceDefinitions, who asks for a certificate.
comparable() {
  jq -cS 'if .kind == "PersistentVolume" or .kind == "PersistentVolumeClaim" then
            del(.metadata.finalizers, .status.lastPhaseTransitionTime)
          elif .kind == "CustomResourceDefinition" then del(.spec.conversion, .status)
          elif .kind == "CertificateSigningRequest" then del(.spec.extra, .spec.groups, .spec.username)
          else . end' "$1" | sort
}

# Every field of every object as upstream fills it in.
case_plane_manifests_defaults() {
  plane_open
  tests/e2e/manifests/defaulted.sh "${CLIENTS[$NEWEST]}" "$FOLDER/admin.yaml" > "$FILES/ours"
  diff <(comparable tests/e2e/manifests/defaulted.jsonl) <(comparable "$FILES/ours")
}
