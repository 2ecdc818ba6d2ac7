#include "images_door.h"

#include <algorithm>

#include "agent/record.h"
#include "os/file.h"

namespace wherry::command {
namespace {

void add_names(json::Node node, const char* key, const std::vector<std::string>& names) {
  json::Node list = node.set_array(key);
  for (const std::string& name : names) list.push(name);
}

std::string image_message(const container::Image& image) {
  json::Draft draft;
  json::Node node = draft.root().set_object("image");
  node.set("id", image.id);
  add_names(node, "tags", image.tags);
  add_names(node, "digests", image.digests);
  node.set("sizeBytes", static_cast<int64_t>(image.size_bytes));
  return draft.dump();
}

bool names(const container::Image& image, const std::string& text) {
  auto has = [&text](const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), text) != list.end();
  };
  return text == image.id || text == image.image_id_text() || has(image.tags) || has(image.digests);
}

// The layers of a container are those of its image: taken away, they would break it.
Result<void> check_unused(const container::Image& image, const std::string& data_dir) {
  std::string pods = data_dir + "/agent/pods";
  for (const std::string& uid : os::list_directory(pods).value_or(std::vector<std::string>())) {
    Result<std::string> text = os::read_file(pods + "/" + uid + "/record.json");
    if (!text.ok()) continue;
    Result<agent::PodRecord> record = agent::decode_record(*text);
    if (!record.ok()) continue;
    for (const agent::ContainerRecord& container : record->containers) {
      if (names(image, container.image_id)) {
        return Error::conflict(
            "pod {} uses it (container {}): delete the pod first, or use --force", uid,
            container.name);
      }
    }
  }
  return {};
}

}  // namespace

Result<void> answer_images(container::ImageStore& images, const std::string& data_dir,
                           json::Value request, int file, const EmitImage& emit) {
  std::string_view verb = request["verb"].as_string();
  std::string name(request["name"].as_string());
  if (verb == "list") {
    for (const container::Image& image : images.list()) TRY(emit(image));
    return {};
  }
  if (verb == "import") {
    if (file < 0) return Error::invalid("an import comes with a file");
    for (const container::Image& image : TRY(images.import_stream(file, name))) TRY(emit(image));
    return {};
  }
  if (verb == "remove") {
    container::Image image = TRY(images.find(name));
    if (!request["force"].as_bool()) TRY(check_unused(image, data_dir));
    TRY(images.remove(name));
    return emit(image);
  }
  return Error::invalid("unknown request \"{}\"", verb);
}

std::unique_ptr<Door> make_images_door(container::ImageStore& images, const std::string& data_dir) {
  auto answer = [&images, data_dir](json::Value request, int file, const Door::Emit& emit) {
    return answer_images(images, data_dir, request, file, [&emit](const container::Image& image) {
      return emit(image_message(image));
    });
  };
  return std::make_unique<Door>(images_door_path(data_dir), "images-door", answer);
}

}  // namespace wherry::command
