#include "kubectl_select.h"

#include <algorithm>

#include "base/strings.h"
#include "json/yaml.h"
#include "os/file.h"

namespace wherry::command::kubectl {

const std::vector<FlagRow> kFileFlags = {
    {.name = "filename",
     .shorthand = 'f',
     .help = "File, folder, address, or - for standard input"},
    {.name = "recursive",
     .shorthand = 'R',
     .bare = "true",
     .help = "Take folders with those below"},
};

const std::vector<FlagRow> kSelectorFlags = {
    {.name = "selector", .shorthand = 'l', .help = "Labels to choose by: a=b,c!=d,e in (f,g)"},
    {.name = "field-selector",
     .help = "Fields to choose by: metadata.name=a,status.phase!=Running"},
    {.name = "all-namespaces", .shorthand = 'A', .bare = "true", .help = "In every namespace"},
};

namespace {

constexpr size_t kManifestBytesMax = 64 << 20;

Result<std::string> fetch(const std::string& url) {
  http::ClientOptions options;
  options.use_proxy = true;
  http::Client client(options);
  http::ClientRequest request;
  request.url = url;
  request.follow_redirects = true;
  request.body_bytes_max = kManifestBytesMax;
  http::ClientResponse response = TRY(client.request(request));
  if (response.status != 200) {
    return Error::not_found("unable to read URL \"{}\", server reported {}", url, response.status);
  }
  return std::move(response.body);
}

bool is_manifest_name(std::string_view name) {
  return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
}

Result<void> list_files(const std::string& path, bool recursive, std::vector<std::string>& to) {
  for (const std::string& name : TRY(os::list_directory(path))) {
    std::string file = path + (path.ends_with('/') ? "" : "/") + name;
    if (os::is_directory(file)) {
      if (recursive) TRY(list_files(file, recursive, to));
    } else if (is_manifest_name(name)) {
      to.push_back(file);
    }
  }
  return {};
}

Result<void> take_apart(json::Value object, const std::string& source, std::vector<Manifest>& to) {
  if (!object.is_object() || object["kind"].as_string().empty()) {
    return Error::invalid("error parsing {}: an object has no kind", source);
  }
  if (object["items"].is_array() && object["kind"].as_string().ends_with("List")) {
    for (json::Value item : object["items"].items()) TRY(take_apart(item, source, to));
    return {};
  }
  to.push_back({json::Draft(object).freeze(), source});
  return {};
}

Result<void> read_source(const std::string& source, std::vector<Manifest>& to) {
  std::string text;
  if (source == "-") {
    text = TRY(os::read_all(0, kManifestBytesMax));
  } else if (source.starts_with("http://") || source.starts_with("https://")) {
    text = TRY(fetch(source));
  } else {
    Result<std::string> content = os::read_file(source);
    if (!content.ok() && content.error().is(Code::kNotFound)) {
      return Error::not_found("the path \"{}\" does not exist", source);
    }
    text = TRY(std::move(content));
  }
  std::string shown = source == "-" ? "STDIN" : source;
  Result<std::vector<json::Document>> documents = json::parse_yaml_stream(text);
  if (!documents.ok()) return std::move(documents).error().with_prefix("error parsing " + shown);
  for (const json::Document& document : *documents) {
    if (document.root().is_null() || !document.root()) continue;
    TRY(take_apart(document.root(), shown, to));
  }
  return {};
}

std::string namespace_for(const ResourceType& type, const Flags& flags, const Api& api) {
  if (!type.namespaced || flags.on("all-namespaces")) return "";
  return api.default_namespace();
}

Result<std::vector<Target>> by_slashes(const Flags& flags, Api& api, const Discovery& discovery) {
  std::vector<Target> out;
  for (const std::string& word : flags.arguments()) {
    auto parts = split_once(word, "/");
    if (!parts || parts->first.empty() || parts->second.empty() ||
        parts->second.find('/') != std::string_view::npos) {
      return Error::invalid(
          "there is no need to specify a resource type as a separate argument when passing "
          "arguments "
          "in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl "
          "get "
          "resource resource/<resource_name>')");
    }
    if (flags.on("all-namespaces")) {
      return Error::invalid("a resource cannot be retrieved by name across all namespaces");
    }
    const ResourceType* type = TRY(discovery.find(parts->first));
    out.push_back({.type = type,
                   .ns = namespace_for(*type, flags, api),
                   .name = std::string(parts->second),
                   .object = {},
                   .source = {}});
  }
  return out;
}

}  // namespace

Result<std::vector<Manifest>> read_manifests(const Flags& flags) {
  std::vector<Manifest> out;
  for (const std::string& source : flags.all_split("filename")) {
    std::vector<std::string> files;
    if (os::is_directory(source)) {
      TRY(list_files(source, flags.on("recursive"), files));
      if (files.empty()) {
        return Error::invalid(
            "error reading [{}]: recognized file extensions are [.json .yaml .yml]", source);
      }
    } else {
      files.push_back(source);
    }
    for (const std::string& file : files) TRY(read_source(file, out));
  }
  if (out.empty()) return Error::invalid("no objects passed to {}", "this command");
  return out;
}

Result<Target> target_of(const Manifest& manifest, const Flags& flags, Api& api,
                         const Discovery& discovery) {
  json::Value object = manifest.object.root();
  json::Value metadata = object["metadata"];
  Result<const ResourceType*> type =
      discovery.find_kind(object["apiVersion"].as_string(), object["kind"].as_string());
  std::string name(metadata["name"].as_string());
  if (!type.ok()) {
    return Error::not_found(
        "resource mapping not found for name: \"{}\" namespace: \"{}\" from \"{}\": {}\n"
        "ensure CRDs are installed first",
        name, metadata["namespace"].as_string(), manifest.source, type.error().message());
  }
  Target target;
  target.type = *type;
  target.name = name;
  target.object = manifest.object;
  target.source = manifest.source;
  if (target.type->namespaced) {
    target.ns = std::string(metadata["namespace"].as_string());
    if (target.ns.empty()) target.ns = api.default_namespace();
    if (api.namespace_given() && target.ns != api.default_namespace()) {
      return Error::invalid(
          "the namespace from the provided object \"{}\" does not match the namespace \"{}\". You "
          "must "
          "pass '--namespace={}' to perform this operation.",
          target.ns, api.default_namespace(), target.ns);
    }
  }
  (void)flags;
  return target;
}

Result<std::vector<Target>> select(const Flags& flags, Api& api, const Discovery& discovery) {
  std::vector<Target> out;
  if (flags.given("filename")) {
    if (!flags.arguments().empty()) {
      return Error::invalid(
          "when paths, URLs, or stdin is provided as resource input, you may not "
          "specify resource arguments as well");
    }
    for (const Manifest& manifest : TRY(read_manifests(flags))) {
      out.push_back(TRY(target_of(manifest, flags, api, discovery)));
    }
    return out;
  }
  const std::vector<std::string>& words = flags.arguments();
  if (words.empty()) {
    return Error::invalid(
        "You must specify the type of resource, for example `pods` (`wherry kubectl "
        "api-resources` lists them), or a file with -f");
  }
  if (words[0].find('/') != std::string::npos) return by_slashes(flags, api, discovery);
  std::vector<const ResourceType*> types;
  for (std::string_view name : split(words[0], ',')) {
    std::vector<const ResourceType*> category = discovery.in_category(name);
    if (category.empty()) category.push_back(TRY(discovery.find(name)));
    types.insert(types.end(), category.begin(), category.end());
  }
  if (words.size() > 1 && flags.on("all-namespaces")) {
    return Error::invalid("a resource cannot be retrieved by name across all namespaces");
  }
  if (words.size() > 1 && flags.given("selector")) {
    return Error::invalid("name cannot be provided when a selector is specified");
  }
  for (const ResourceType* type : types) {
    std::string ns = namespace_for(*type, flags, api);
    if (words.size() == 1) out.push_back({type, ns, "", {}, ""});
    for (size_t i = 1; i < words.size(); ++i) {
      if (words[i].find('/') != std::string::npos) {
        return Error::invalid(
            "there is no need to specify a resource type as a separate argument "
            "when passing arguments in resource/name form");
      }
      out.push_back({type, ns, words[i], {}, ""});
    }
  }
  return out;
}

Parameters selectors(const Flags& flags) {
  Parameters parameters;
  if (flags.given("selector")) {
    parameters.emplace_back("labelSelector", std::string(flags.text("selector")));
  }
  if (flags.given("field-selector")) {
    parameters.emplace_back("fieldSelector", std::string(flags.text("field-selector")));
  }
  return parameters;
}

Result<std::vector<Target>> expand(std::vector<Target> targets, const Flags& flags, Api& api) {
  std::vector<Target> out;
  for (Target& target : targets) {
    if (!target.name.empty()) {
      out.push_back(std::move(target));
      continue;
    }
    Answer answer = TRY(api.call({.path = target.path(), .parameters = selectors(flags)}));
    json::Value list = answer.body.root();
    for (json::Value item : list["items"].items()) {
      Target each = target;
      json::Draft object(item);
      // Items of a list need not say what they are.
      object.root().set("apiVersion", target.type->api_version());
      object.root().set("kind", target.type->kind);
      each.object = object.freeze();
      each.ns = std::string(item["metadata"]["namespace"].as_string());
      each.name = std::string(item["metadata"]["name"].as_string());
      out.push_back(std::move(each));
    }
  }
  return out;
}

}  // namespace wherry::command::kubectl
