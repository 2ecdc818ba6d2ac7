#pragma once
// Rules of storage.k8s.io/v1; each a hook of its row in storage.cc. Wording: Kubernetes. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "api/field_error.h"
#include "json/json.h"

namespace wherry::api {

// Sources of PersistentVolumes, in the order in which a second one is told as the one too many.
inline constexpr std::string_view kVolumeSources[] = {"hostPath",
                                                      "gcePersistentDisk",
                                                      "awsElasticBlockStore",
                                                      "nfs",
                                                      "glusterfs",
                                                      "rbd",
                                                      "iscsi",
                                                      "cephfs",
                                                      "cinder",
                                                      "fc",
                                                      "flocker",
                                                      "flexVolume",
                                                      "azureFile",
                                                      "vsphereVolume",
                                                      "quobyte",
                                                      "azureDisk",
                                                      "photonPersistentDisk",
                                                      "portworxVolume",
                                                      "scaleIO",
                                                      "local",
                                                      "storageos",
                                                      "csi"};

void validate_volume_spec(json::Value spec, const Path& path, FieldErrors& errors);
void validate_inline_volume_spec(json::Value spec, const Path& path, FieldErrors& errors);
void validate_storage_class(json::Value object, FieldErrors& errors);
void validate_storage_class_update(json::Value before, json::Value after, FieldErrors& errors);
std::vector<std::string> storage_class_warnings(json::Value object);
std::vector<std::string> csi_driver_warnings(json::Value object);
void validate_volume_attributes(json::Value object, FieldErrors& errors);
void validate_attachment(json::Value object, FieldErrors& errors);
void validate_attachment_update(json::Value before, json::Value after, FieldErrors& errors);
void validate_attachment_status(json::Value before, json::Value after, FieldErrors& errors);
void validate_csi_driver(json::Value object, FieldErrors& errors);
void validate_csi_driver_update(json::Value before, json::Value after, FieldErrors& errors);
void validate_csi_node(json::Value object, FieldErrors& errors);
void validate_csi_node_update(json::Value before, json::Value after, FieldErrors& errors);
void validate_csi_capacity(json::Value object, FieldErrors& errors);
void validate_csi_capacity_update(json::Value before, json::Value after, FieldErrors& errors);

}  // namespace wherry::api
