// Plays the installed program: the service waits for a signal, every client command succeeds.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int serve(int argc, char** argv) {
  const char* seen = getenv("WHERRY_SEEN");
  for (int i = 1; i < argc; ++i) printf("[%s]", argv[i]);
  printf(" %s\n", seen == NULL ? "-" : seen);
  fflush(stdout);
  if (getenv("WHERRY_FAIL") != NULL) return 1;
  int fd = open("/etc/wherry/wherry.yaml", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd >= 0) close(fd);
  return pause();
}

int main(int argc, char** argv) {
  if (argc > 1 && (strcmp(argv[1], "server") == 0 || strcmp(argv[1], "agent") == 0)) {
    return serve(argc, argv);
  }
  if (argc > 3 && strcmp(argv[1], "kubectl") == 0 && strcmp(argv[3], "nodes") == 0) puts("node/a");
  return 0;
}
