/* Numbers, times and small files without stdio, which would double the size of the program. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

size_t put_number(char* to, int64_t value) {
  char digits[24];
  size_t count = 0;
  size_t used = 0;
  uint64_t left = value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value;
  do {
    digits[count++] = (char)('0' + left % 10);
    left /= 10;
  } while (left != 0);
  if (value < 0) to[used++] = '-';
  while (count > 0) to[used++] = digits[--count];
  to[used] = 0;
  return used;
}

size_t put_text(char* to, const char* text) {
  size_t bytes = strlen(text);
  memcpy(to, text, bytes + 1);
  return bytes;
}

static void put_padded(char* to, uint64_t value, int width) {
  for (int i = width - 1; i >= 0; --i) {
    to[i] = (char)('0' + value % 10);
    value /= 10;
  }
}

/* Civil date from days since 1970-01-01: shift the era to March, so that leap days come last. */
void put_time(char* to, int64_t ns) {
  int64_t seconds = ns / 1000000000;
  int64_t days = seconds / 86400 + 719468;
  int64_t rest = seconds % 86400;
  int64_t era = days / 146097;
  int64_t day_of_era = days - era * 146097;
  int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted = (5 * day_of_year + 2) / 153;
  int64_t day = day_of_year - (153 * shifted + 2) / 5 + 1;
  int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  int64_t year = year_of_era + era * 400 + (month <= 2);
  memcpy(to, "0000-00-00T00:00:00.000000000Z", 31);
  put_padded(to, (uint64_t)year, 4);
  put_padded(to + 5, (uint64_t)month, 2);
  put_padded(to + 8, (uint64_t)day, 2);
  put_padded(to + 11, (uint64_t)(rest / 3600), 2);
  put_padded(to + 14, (uint64_t)(rest / 60 % 60), 2);
  put_padded(to + 17, (uint64_t)(rest % 60), 2);
  put_padded(to + 20, (uint64_t)(ns % 1000000000), 9);
}

int64_t read_number(const char* text) {
  int64_t value = 0;
  int negative = *text == '-';
  for (text += negative; *text >= '0' && *text <= '9'; ++text) value = value * 10 + (*text - '0');
  return negative ? -value : value;
}

int64_t read_number_file(const char* path) {
  char text[32] = {0};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t bytes = read(fd, text, sizeof text - 1);
  close(fd);
  return bytes > 0 ? read_number(text) : 0;
}

/* By rename, so that a reader never sees half of it. `path` is short: at most 200 bytes. */
void write_small_file(const char* path, const char* text, size_t bytes) {
  char temporary[256];
  size_t used = put_text(temporary, path);
  put_text(temporary + used, ".new");
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  ssize_t written = write(fd, text, bytes);
  close(fd);
  if (written == (ssize_t)bytes) rename(temporary, path);
}

char* copy_text(const char* text) {
  size_t bytes = strlen(text) + 1;
  char* copy = malloc(bytes);
  if (copy == NULL) _exit(71);
  memcpy(copy, text, bytes);
  return copy;
}
