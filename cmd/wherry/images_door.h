#pragma once
// The images door: how `wherry images` reaches the image store of a running server, which alone may
// touch it. The socket is <data-dir>/agent/images.sock; what passes is described in door.h:
//
//   {"verb": "list"}                        answered by {"image": {...}} for each
//   {"verb": "import", "name": "x:1"}       with the file's descriptor; {"image": {...}} for each
//   imported
//   {"verb": "remove", "name": "x:1"}       with "force": true even while a pod uses it
//
// Threads: as Door.

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "container/image.h"
#include "door.h"
#include "json/json.h"

namespace wherry::command {

// Outside a server the store is opened directly and asked by the same code: answer_images().
std::unique_ptr<Door> make_images_door(container::ImageStore& images, const std::string& data_dir);

inline std::string images_door_path(const std::string& data_dir) {
  return data_dir + "/agent/images.sock";
}

// Does what a request asks; each image goes to `emit`. `file` is the descriptor for an import.
using EmitImage = std::function<Result<void>(const container::Image& image)>;
Result<void> answer_images(container::ImageStore& images, const std::string& data_dir,
                           json::Value request, int file, const EmitImage& emit);

}  // namespace wherry::command
