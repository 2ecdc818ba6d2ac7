/* Making the sandbox: namespaces, host name, loopback, sysctls, the pod's /dev/shm, and, for pods
 * that share their processes, a first process of the pid namespace. */

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol.h"
#include "shim.h"

static void raise_loopback(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
}

/* "net.core.somaxconn=512"; a '/' stands for itself, as in interface names with dots. */
static const char* set_sysctl(char* setting) {
  char* equals = strchr(setting, '=');
  if (equals == NULL || strlen(setting) > 200) return "malformed sysctl";
  char path[256];
  size_t used = put_text(path, "/proc/sys/");
  for (const char* at = setting; at < equals; ++at) path[used++] = *at == '.' ? '/' : *at;
  path[used] = 0;
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return setting;
  ssize_t written = write(fd, equals + 1, strlen(equals + 1));
  close(fd);
  return written < 0 ? setting : NULL;
}

/* First process of a pid namespace: takes in orphans, ends on SIGKILL only (from outside). Nothing
 * but system calls, for it is a fork of us. */
static void init_main(void) {
  for (int fd = 0; fd < 1024; ++fd) close(fd);
  prctl(PR_SET_NAME, "pause");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (chdir("/") != 0) _exit(1);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  while (1) {
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    sigwaitinfo(&child, NULL);
  }
}

static const char* mount_shm(const char* bytes) {
  char options[64];
  size_t used = put_text(options, "mode=1777,size=");
  if (strlen(bytes) > 24) return "shm size";
  put_text(options + used, bytes);
  mkdir("shm", 01777);
  if (mount("shm", "shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0)
    return "mounting shm";
  return NULL;
}

const char* pod_setup(int argc, char** argv, pid_t* init) {
  if (argc < 4) return "arguments";
  const char* flags = argv[1];
  int namespaces = 0;
  if (strchr(flags, 'n') != NULL) namespaces |= CLONE_NEWNET;
  if (strchr(flags, 'i') != NULL) namespaces |= CLONE_NEWIPC;
  if (strchr(flags, 'u') != NULL) namespaces |= CLONE_NEWUTS;
  if (strchr(flags, 'm') != NULL) namespaces |= CLONE_NEWNS;
  /* Before unshare: it moves the current folder into the new mount namespace. */
  if (fchdir(SHIM_FOLDER) != 0) return "the pod's folder";
  close(SHIM_FOLDER);
  if (namespaces != 0 && unshare(namespaces) != 0) return "unshare";
  if ((namespaces & CLONE_NEWNS) != 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0) {
    return "making mounts private";
  }
  if ((namespaces & CLONE_NEWUTS) != 0 && sethostname(argv[2], strlen(argv[2])) != 0)
    return "sethostname";
  if ((namespaces & CLONE_NEWNET) != 0) raise_loopback();
  for (int i = 4; i < argc; ++i) {
    const char* failed = set_sysctl(argv[i]);
    if (failed != NULL) return failed;
  }
  if ((namespaces & CLONE_NEWIPC) != 0) {
    const char* failed = mount_shm(argv[3]);
    if (failed != NULL) return failed;
  }
  if (strchr(flags, 'p') == NULL) return NULL;
  long pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) init_main();
  if (pid < 0) return "the pid namespace";
  *init = (pid_t)pid;
  return NULL;
}
