#pragma once
// The sub-commands. Each gets its own name as argv[0] and returns the exit code of the process.

namespace wherry::command {

int run_server(int argc, const char* const* argv);
int run_agent(int argc, const char* const* argv);
int run_kubectl(int argc, const char* const* argv);
int run_images(int argc, const char* const* argv);
int run_certificate(int argc, const char* const* argv);
int run_secrets_encrypt(int argc, const char* const* argv);
int run_stop(int argc, const char* const* argv);
int run_uninstall(int argc, const char* const* argv);
int run_hello(int argc, const char* const* argv);
int run_version(int argc, const char* const* argv);

}  // namespace wherry::command
