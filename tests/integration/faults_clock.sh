# The wall clock of the running server: it starts in 1970, is set to today, and three years pass.
# The server and its clients run through shifted_clock, which changes what time it is to them.

DAY=86400
clock_set() { echo "$1" > "$FOLDER/shift"; } # SECONDS ahead of the machine's clock
clock_step() {
  clock_set "$1"
  kill -USR1 "$(cat "$FOLDER/pid")"
}
shifted() { "$FOLDER/shifted_clock" "$FOLDER/shift" "$@"; }
# What a client that checks certificates by the same clock gets, with the identity it has.
asks() { shifted curl -sS --max-time 20 "${IDENTITY[@]}" "$URL/api/v1/namespaces/default" | jq -r .metadata.name; }
answered() { [ "$(asks 2>> "$FOLDER/asks.log")" = default ]; }
all_in_order() {
  shifted "$WHERRY" certificate check --data-dir "$FOLDER/d" > "$FOLDER/check"
  cat "$FOLDER/check"
  [ "$(grep -c ' ok$' "$FOLDER/check")" = 4 ]
}
serial() { openssl x509 -noout -serial -in "$FOLDER/d/server/tls/serving.crt"; }
answers_who_reads_anew() {
  plane_identity
  answered
}

clock_plane_start() { # SHIFT
  gcc -O1 -o "$FOLDER/shifted_clock" tests/integration/shifted_clock.c
  clock_set "$1"
  PLANE_PREFIX="$FOLDER/shifted_clock $FOLDER/shift" plane_start
}

case_clock_three_years_from_1970() {
  command -v gcc > /dev/null || skip 'it takes a C compiler'
  clock_plane_start $((100 - $(date +%s)))
  has "$(shifted date -u +%Y)" '^1970$'
  answered || fail 'no answer in 1970'
  # The first look at a time server. What the clients got in 1970 is worth nothing any more.
  clock_step 0
  eventually 10 answers_who_reads_anew
  local shift=0 seen renewals=0 last
  last=$(serial)
  # In steps of less than the shortest time for which a client may rely on what it has read: a third
  # of a year. It asks with what it read a step ago, then with what there is now.
  while [ $shift -lt $((3 * 365 * DAY)) ]; do
    shift=$((shift + 30 * DAY))
    clock_step $shift
    answered || fail "$((shift / DAY)) days later the old identity is refused"
    eventually 5 all_in_order
    plane_identity
    answered || fail "$((shift / DAY)) days later the new identity is refused"
    seen=$(serial)
    [ "$seen" = "$last" ] || renewals=$((renewals + 1))
    last=$seen
  done
  # At two thirds of a year each, in three years.
  [ $renewals -ge 4 ] && [ $renewals -le 5 ] || fail "$renewals renewals"
  # Back again, before the present certificates begin.
  clock_step 0
  eventually 10 answers_who_reads_anew
}

case_clock_renewal_when_it_is_due() {
  command -v gcc > /dev/null || skip 'it takes a C compiler'
  clock_plane_start 0
  local before due
  before=$(serial)
  # Without a step: the timer alone. The renewal is two thirds of a year after the beginning.
  due=$(date -d "$(openssl x509 -noout -startdate -in "$FOLDER/d/server/tls/serving.crt" | cut -d= -f2)" +%s)
  due=$((due + ($(date -d "$(openssl x509 -noout -enddate -in "$FOLDER/d/server/tls/serving.crt" | cut -d= -f2)" +%s) - due) * 2 / 3))
  clock_step $((due - $(date +%s) - 4))
  sleep 1
  same "$(serial)" "$before"
  renewed() { [ "$(serial)" != "$before" ]; }
  eventually 70 renewed
  answers_who_reads_anew || fail 'the renewed identity is refused'
}
