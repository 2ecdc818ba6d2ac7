# Secrets at rest: their plain text stands in no file of the database, through updates, deletion,
# kill -9, change of key, and a start without the right key.

SECRETS=/api/v1/namespaces/default/secrets
KEYS=server/cred/secrets-keys.json

put_secret() { # NAME VALUE
  answer POST $SECRETS application/json "$(printf '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"%s"},"stringData":{"k":"%s"}}' "$1" "$2")"
  same "$STATUS" 201
}
secret_value() { api "$SECRETS/$1" | jq -r .data.k | base64 -d; }
# Neither as it is nor in base64, at any alignment.
found_on_disk() { # TEXT
  local text=$1 patterns=(-e "$1") lead cut
  for lead in '' x xx; do
    cut=$(printf '%s%s' "$lead" "$text" | base64 -w0)
    patterns+=(-e "${cut:4:16}")
  done
  grep -qraF "${patterns[@]}" "$FOLDER/d/server/db"
}
encryption() { "$WHERRY" secrets-encrypt "$1" --data-dir "$FOLDER/d"; }
key_id() { encryption status | sed -n 's/^Key: \([0-9a-f]*\),.*/\1/p'; }
# Starts a server that must refuse to.
start_error() {
  timeout 10 "$WHERRY" server --disable-agent --data-dir "$FOLDER/d" --bind-address 127.0.0.1 \
    --https-listen-port 0 --write-kubeconfig "$FOLDER/admin.yaml" 2>&1
}

case_secrets_at_rest() {
  plane_start
  put_secret first the-first-hidden-text
  put_secret gone the-second-hidden-text
  answer PATCH $SECRETS/first application/merge-patch+json '{"stringData":{"k":"the-third-hidden-text"}}'
  answer DELETE $SECRETS/gone
  same "$(secret_value first)" the-third-hidden-text
  local text
  for text in the-first-hidden-text the-second-hidden-text the-third-hidden-text; do
    ! found_on_disk $text || fail "$text stands on disk"
  done
  same "$(stat -c %a "$FOLDER/d/$KEYS")" 600
  ! grep -q hidden-text "$FOLDER/server.log" || fail 'a secret stands in the log'

  local before after
  before=$(key_id)
  encryption rotate
  after=$(key_id)
  [ "$before" != "$after" ] || fail 'the key is the same'
  ! found_on_disk "wherry:aesgcm:v1:$before" || fail 'the old key still has rows'
  put_secret late the-late-hidden-text
  plane_stop KILL
  plane_start
  same "$(secret_value first) $(secret_value late)" 'the-third-hidden-text the-late-hidden-text'
  same "$(key_id)" "$after"

  encryption disable | grep -q 'off'
  found_on_disk the-third-hidden-text
  encryption enable | grep -q 'on'
  ! found_on_disk the-third-hidden-text || fail 'traces stay after encryption is on again'
  same "$(secret_value first)" the-third-hidden-text
}

case_secrets_key_is_missing() {
  plane_start
  put_secret first the-first-hidden-text
  plane_stop
  cp "$FOLDER/d/$KEYS" "$FOLDER/kept"
  rm "$FOLDER/d/$KEYS"
  fails_with "secrets-keys.json is missing, and Secrets in the database are encrypted with its key [0-9a-f]{8}: put the file back" start_error
  sed 's/"key":"[^"]*"/"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="/; s/"id":"[^"]*"/"id":"66687aad"/' "$FOLDER/kept" > "$FOLDER/d/$KEYS"
  fails_with 'encrypted with key [0-9a-f]{8}, which .*secrets-keys.json does not hold' start_error
  : > "$FOLDER/d/$KEYS"
  fails_with 'secrets-keys.json is not usable' start_error
  cp "$FOLDER/kept" "$FOLDER/d/$KEYS"
  # Without a server the key file is changed, and a start follows it.
  local before after
  before=$(key_id)
  encryption rotate | grep -q 'next start'
  plane_start
  after=$(key_id)
  [ "$before" != "$after" ] || fail 'the key is the same'
  same "$(secret_value first)" the-first-hidden-text
  same "$(jq '.keys | length' "$FOLDER/d/$KEYS")" 1
}
