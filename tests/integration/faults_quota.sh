# Clients race for the last places under a quota; the program beside this file says what must hold.
case_quota_rounds() {
  plane_start
  "$BUILD/tests/integration/quota_rounds" "$FOLDER/admin.yaml" "${ROUNDS:-3}"
}
