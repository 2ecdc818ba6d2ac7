#pragma once
/* What server and shim say to each other over DIRECTORY/shim.sock (SOCK_SEQPACKET). One request a
 * connection, which stays open as long as the request is under way. A message is words, each ended
 * by a zero byte; descriptors travel beside it.
 *
 *   request                                       answers
 *   watch                                         ok; then "exit" ID CODE SIGNAL NANOSECONDS, as
 * they come list                                          ok, then for each container: ID PID STATE
 * STARTED CODE SIGNAL FINISHED (STATE: created, running, exited) create ID FLAGS LOG PIDFILE
 * ARGS...           ok PID | error CODE FLAGS: any of t (terminal; the runtime must be told of
 *                                                 --console-socket c/ID/tty.sock, relative to the
 * bundle), i (stdin open), - (none) start ID ARGS...                              ok NANOSECONDS |
 * error CODE run ARGS...                                   ok | error CODE exec PIDFILE ARGS... +
 * stdin stdout stderr    pid PID, then exit CODE SIGNAL | error CODE. Hanging up kills the process.
 *   attach ID WHICH + descriptors                 ok [+ descriptor to write input to]; then exit
 * CODE SIGNAL. WHICH: o and e name what the descriptors are to get; none of them waits for the end
 *   close-stdin ID | kill ID SIGNAL | reopen ID   ok | error CODE
 *   forget ID                                     ok
 *   mount TYPE FOLDER OPTIONS | unmount FOLDER    ok | error ERRNO; in the pod's own mounts
 *   quit                                          the connection closes; the pod's namespaces are
 * gone
 *
 * The shim is started with descriptor 3 the listening socket, 4 the pod's folder, 5 where it
 * reports: "ok INITPID" or "error TEXT". Arguments: FLAGS HOSTNAME SHMBYTES [NAME=VALUE of
 * sysctls]... FLAGS: n own network, i own ipc, u own uts, m own mounts, p a pid namespace shared by
 * the containers.
 */

#define SHIM_LISTENER 3
#define SHIM_FOLDER 4
#define SHIM_REPORT 5
#define SHIM_MESSAGE_MAX 65536
