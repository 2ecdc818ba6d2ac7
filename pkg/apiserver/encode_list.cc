// Lists: each item is bytes that are there already (the stored object's own, or a form that is
// kept), so a list is a head, the items one after the other, and an end; nothing is copied before
// it is sent. Compressed, it is the same out of compressed items.

#include <algorithm>
#include <utility>

#include "api/conversion.h"
#include "api/protobuf.h"
#include "api/table.h"
#include "apiserver/encode.h"
#include "json/json.h"

namespace wherry::apiserver {
namespace {

// Stored objects begin with kind and apiVersion, which the items of a list go without.
std::string_view without_type(const api::Object& object) {
  std::string_view json = object.json();
  size_t at = json.find("\"metadata\":");
  return at == std::string_view::npos ? json.substr(1) : json.substr(at);
}

// The member "metadata" of a stored object, which is the first but for the type.
std::string_view metadata_member(const api::Object& object) {
  std::string_view text = without_type(object);
  int depth = 0;
  bool in_string = false;
  for (size_t i = std::string_view("\"metadata\":").size(); i < text.size(); ++i) {
    if (in_string) {
      i = text.find_first_of("\"\\", i);
      if (i == std::string_view::npos) break;
      if (text[i] == '\\') {
        ++i;
      } else {
        in_string = false;
      }
      continue;
    }
    if (text[i] == '"') in_string = true;
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && --depth == 0) return text.substr(0, i + 1);
  }
  return text.substr(0, 0);
}

std::string_view partial_type(std::string_view version) {
  return version == "v1" ? R"("kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",)"
                         : R"("kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1beta1",)";
}

json::Draft list_meta(const ListResult& list) {
  json::Draft meta;
  meta.root().set("resourceVersion", std::to_string(list.revision));
  if (!list.continue_token.empty()) meta.root().set("continue", list.continue_token);
  if (list.remaining) meta.root().set("remainingItemCount", *list.remaining);
  return meta;
}

// The parts of a list in one of the forms.
class ListText {
 public:
  ListText(const Resource& resource, const ListResult& list, const Wanted& wanted,
           std::string_view include, Time now, Forms* forms)
      : resource_(resource),
        items_(list.items),
        form_(wanted.form),
        version_(wanted.form_version),
        include_(include),
        now_(now),
        forms_(forms) {
    json::Document meta = list_meta(list).freeze();
    const bool protobuf = wanted.media == MediaType::kProtobuf && form_ != Form::kTable &&
                          (form_ == Form::kPartial || resource.schema != nullptr);
    if (protobuf) {
      make_protobuf(meta.root());
    } else if (form_ == Form::kObject) {
      make_json(meta.root());
    } else if (form_ == Form::kPartial) {
      make_partial(meta.root());
    } else {
      make_table(meta.root());
    }
  }

  void write(http::Response& response, bool compressed) {
    if (compressed && size() > kCompressedBytesMin) return write_compressed(response);
    response.reserve_pieces(pieces_.size() + 2);
    response.set_body(type_, std::move(head_));
    for (http::Piece& piece : pieces_) response.append(std::move(piece));
    response.append(std::move(tail_));
  }
  bool is_protobuf() const { return !has_separators_; }
  // JSON, in one piece.
  std::string joined() const {
    std::string out = head_;
    for (const http::Piece& piece : pieces_) out += piece.bytes;
    return out + tail_;
  }

 private:
  void add(std::shared_ptr<const void> owner, std::string_view bytes) {
    pieces_.push_back({std::move(owner), bytes});
  }
  void add(std::string_view constant) { pieces_.push_back({nullptr, constant}); }

  // Forms of `kind` of all items; `make` gives those that are not there yet.
  template <typename Make>
  std::vector<EncodedPtr> all_forms(Forms::Kind kind, const Make& make) {
    std::vector<EncodedPtr> out(items_.size());
    if (forms_ != nullptr) out = forms_->find(kind, items_, now_);
    for (size_t i = 0; i < items_.size(); ++i) {
      if (out[i] != nullptr) continue;
      out[i] = std::make_shared<const Encoded>(make(*items_[i]));
      if (forms_ != nullptr) forms_->keep(kind, items_[i], out[i], now_);
    }
    return out;
  }

  void make_json(json::Value meta) {
    zipped_kind_ = Forms::Kind::kZippedJson;
    head_ = fmt::format(R"({{"kind":"{}List","apiVersion":"{}","metadata":{},"items":[)",
                        resource_.kind, resource_.api_version(), meta.dump());
    pieces_per_item_ = 2;
    pieces_.reserve(2 * items_.size());
    for (const ObjectPtr& object : items_) {
      add(pieces_.empty() ? "{" : ",{");
      add(object, without_type(*object));
    }
    tail_ = "]}\n";
  }

  // Unlike those of typed lists, these items say what they are.
  void make_partial(json::Value meta) {
    zipped_kind_ = Forms::Kind::kZippedPartialJson;
    head_ = fmt::format(
        R"({{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/{}","metadata":{},"items":)",
        version_, meta.dump());
    // Clients have always seen null here, not [], when nothing matches.
    if (items_.empty()) tail_ = "null}\n";
    if (items_.empty()) return;
    head_ += '[';
    pieces_per_item_ = 4;
    pieces_.reserve(4 * items_.size());
    for (const ObjectPtr& object : items_) {
      add(pieces_.empty() ? "{" : ",{");
      add(partial_type(version_));
      add(object, metadata_member(*object));
      add("}");
    }
    tail_ = "]}\n";
  }

  void make_table(json::Value meta) {
    zipped_kind_ = Forms::Kind::kZippedRow;
    head_ = fmt::format(
        R"({{"kind":"Table","apiVersion":"meta.k8s.io/{}","metadata":{},"columnDefinitions":{},"rows":[)",
        version_, meta.dump(), api::columns_text(resource_));
    std::vector<EncodedPtr> rows = all_forms(Forms::Kind::kRow, [this](const api::Object& object) {
      api::RowText row = api::row_text(resource_, object.document().root(), now_);
      Encoded form;
      form.bytes = std::move(row.members);
      if (row.good_for < std::chrono::hours(24 * 365)) {
        form.until = now_ + std::chrono::floor<std::chrono::microseconds>(row.good_for);
      }
      return form;
    });
    const bool none = include_ == "None";
    const bool whole = include_ == "Object";
    pieces_per_item_ = none ? 3 : whole ? 5 : 6;
    pieces_.reserve(pieces_per_item_ * items_.size());
    until_.reserve(items_.size());
    const bool stored = api::is_stored_form(resource_);
    for (size_t i = 0; i < items_.size(); ++i) {
      until_.push_back(rows[i]->until);
      add(pieces_.empty() ? "{" : ",{");
      std::string_view cells = rows[i]->bytes;
      add(std::move(rows[i]), cells);
      add(none ? R"(,"object":null})" : whole ? R"(,"object":)" : R"(,"object":{)");
      if (none) continue;
      if (!whole) add(partial_type(version_));
      // Cells are read from the stored form; what is shown is in that of the version asked for.
      ObjectPtr shown = stored ? items_[i] : api::served_object(resource_, items_[i]);
      std::string_view text = whole ? std::string_view(shown->json()) : metadata_member(*shown);
      add(std::move(shown), text);
      add(whole ? "}" : "}}");
    }
    tail_ = "]}\n";
  }

  void make_protobuf(json::Value meta) {
    const bool partial = form_ == Form::kPartial;
    zipped_kind_ = partial ? Forms::Kind::kZippedPartialProtobuf : Forms::Kind::kZippedProtobuf;
    const api::Struct* schema = partial ? partial_struct() : resource_.schema;
    std::vector<EncodedPtr> made =
        all_forms(partial ? Forms::Kind::kPartialProtobuf : Forms::Kind::kProtobuf,
                  [schema](const api::Object& object) {
                    Encoded form;
                    form.bytes = api::protobuf_list_item(*schema, object.document().root());
                    return form;
                  });
    type_ = std::string(media_type_name(MediaType::kProtobuf));
    has_separators_ = false;
    pieces_.reserve(made.size());
    size_t size = 0;
    for (EncodedPtr& form : made) {
      std::string_view bytes = form->bytes;
      size += bytes.size();
      add(std::move(form), bytes);
    }
    api::ProtobufListFrame frame =
        partial ? api::protobuf_list_frame("meta.k8s.io/" + version_, "PartialObjectMetadataList",
                                           meta, size)
                : api::protobuf_list_frame(resource_.api_version(),
                                           std::string(resource_.kind) + "List", meta, size);
    head_ = std::move(frame.before);
    tail_ = std::move(frame.after);
  }

  static const api::Struct* partial_struct() {
    static const api::Struct* const kStruct =
        api::find_struct("io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata");
    CHECK(kStruct != nullptr);
    return kStruct;
  }

  size_t size() const {
    size_t size = head_.size() + tail_.size();
    for (const http::Piece& piece : pieces_) size += piece.bytes.size();
    return size;
  }

  // What is sent for an item, without what separates it from the one before.
  std::string item_text(size_t item, bool with_separator) const {
    std::string out;
    size_t at = item * pieces_per_item_;
    size_t skipped = has_separators_ && !with_separator ? 1 : 0;
    for (size_t i = skipped; i < pieces_per_item_; ++i) out += pieces_[at + i].bytes;
    return out;
  }
  Time until(size_t item) const { return until_.empty() ? Time::max() : until_[item]; }
  // Rows of other tables than the usual one are made for this answer only.
  bool keeps_compressed() const {
    const bool usual = form_ == Form::kObject || version_ == "v1";
    const bool usual_rows = form_ != Form::kTable || include_.empty() || include_ == "Metadata";
    return forms_ != nullptr && usual && usual_rows && api::is_stored_form(resource_);
  }

  EncodedPtr compressed_item(size_t item) const {
    Encoded form;
    form.deflated = http::deflate_piece(item_text(item, true),
                                        item == 0 ? std::string() : item_text(item - 1, false));
    form.until = until(item);
    if (item > 0) {
      form.before = items_[item - 1];
      form.until = std::min(form.until, until(item - 1));
    }
    return std::make_shared<const Encoded>(std::move(form));
  }

  void write_compressed(http::Response& response) {
    std::vector<EncodedPtr> made(items_.size());
    if (keeps_compressed()) made = forms_->find(zipped_kind_, items_, now_);
    http::GzipFrame frame;
    http::DeflatedPiece head = http::deflate_piece(head_);
    http::DeflatedPiece tail = http::deflate_piece(tail_);
    response.headers.set("Content-Encoding", "gzip");
    response.headers.add("Vary", "Accept-Encoding");
    response.reserve_pieces(items_.size() + 4);
    response.set_body(type_, std::string(http::GzipFrame::head()) + head.bytes);
    frame.add(head);
    const ObjectPtr nothing;
    for (size_t i = 0; i < items_.size(); ++i) {
      if (made[i] == nullptr || !made_of(made[i]->before, i == 0 ? nothing : items_[i - 1])) {
        made[i] = compressed_item(i);
        if (keeps_compressed()) forms_->keep(zipped_kind_, items_[i], made[i], now_);
      }
      frame.add(made[i]->deflated);
      std::string_view bytes = made[i]->deflated.bytes;
      response.append(http::Piece{std::move(made[i]), bytes});
    }
    frame.add(tail);
    response.append(tail.bytes + frame.tail());
  }

  const Resource& resource_;
  const std::vector<ObjectPtr>& items_;
  const Form form_;
  const std::string version_;
  const std::string include_;
  const Time now_;
  Forms* const forms_;

  std::string type_ = "application/json";
  std::string head_;
  std::vector<http::Piece> pieces_;  // The same number for each item.
  size_t pieces_per_item_ = 1;
  bool has_separators_ = true;  // The first piece of an item.
  std::vector<Time> until_;     // Of the items; empty: they stay.
  std::string tail_;
  Forms::Kind zipped_kind_ = Forms::Kind::kZippedJson;
};

void write_items(http::Response& response, const Resource& resource, const ListResult& list,
                 const Wanted& wanted, std::string_view include_object, Time now, Forms* forms) {
  response.status = 200;
  ListText text(resource, list, wanted, include_object, now, forms);
  const bool plain = !wanted.pretty && wanted.media != MediaType::kYaml;
  if (plain || text.is_protobuf()) return text.write(response, wanted.gzip);
  json::Document document = json::Document::parse(text.joined()).value();
  write_document(response, 200, document.root(), nullptr, wanted);
}

}  // namespace

void write_list(http::Response& response, const Resource& resource, const ListResult& list,
                const Wanted& wanted, std::string_view include_object, Time now, Forms* forms) {
  if (api::is_stored_form(resource) || wanted.form == Form::kTable) {
    write_items(response, resource, list, wanted, include_object, now, forms);
    return;
  }
  ListResult converted = list;
  for (ObjectPtr& object : converted.items) object = api::served_object(resource, object);
  // What is made for one answer is not worth keeping.
  write_items(response, resource, converted, wanted, include_object, now, nullptr);
}

}  // namespace wherry::apiserver
