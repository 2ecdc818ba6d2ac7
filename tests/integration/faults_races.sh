# Many clients write the same thing at once; the program beside this file says what must hold.
case_write_races() {
  plane_start
  "$BUILD/tests/integration/write_races" "$FOLDER/admin.yaml" "${RACES:-20}"
}
