#include "apiserver/admission.h"

#include "apiserver/admission_config.h"
#include "apiserver/test_server.h"
#include "os/fd.h"

namespace wherry::apiserver {
namespace {

std::string complaint(std::vector<std::string> enabled, std::vector<std::string> disabled = {}) {
  AdmissionSettings settings;
  settings.enabled = std::move(enabled);
  settings.disabled = std::move(disabled);
  Result<void> checked = settings.check();
  return checked.ok() ? "" : checked.error().message();
}

TEST(AdmissionSettings, KnowsWhichPluginsThereAre) {
  EXPECT_EQ(complaint({}), "");
  EXPECT_EQ(complaint({"NodeRestriction", "LimitRanger", "LimitRanger"}), "");
  EXPECT_EQ(complaint({"ExtendedResourceToleration"}, {"PodSecurity"}), "");
  EXPECT_EQ(complaint({}, {"MutatingAdmissionWebhook", "AlwaysDeny"}), "");
  EXPECT_EQ(complaint({"Bogus"}), "enable-admission-plugins plugin \"Bogus\" is unknown");
  EXPECT_EQ(complaint({"limitranger"}),
            "enable-admission-plugins plugin \"limitranger\" is unknown");
  EXPECT_EQ(complaint({""}), "enable-admission-plugins plugin \"\" is unknown");
  EXPECT_EQ(complaint({"Bogus", "Bogus2"}, {"Bogus3"}),
            "[enable-admission-plugins plugin \"Bogus\" is unknown, enable-admission-plugins "
            "plugin \"Bogus2\" is unknown, disable-admission-plugins plugin \"Bogus3\" is "
            "unknown]");
  EXPECT_EQ(complaint({"LimitRanger"}, {"LimitRanger"}),
            "[LimitRanger] in enable-admission-plugins and disable-admission-plugins overlapped");
  EXPECT_EQ(complaint({"EventRateLimit"}),
            "enable-admission-plugins plugin \"EventRateLimit\" is not built");
}

class AdmissionTest : public MachineryTest {
 protected:
  void use(const AdmissionSettings& settings) {
    ASSERT_TRUE(settings.check().ok());
    MachineryOptions options;
    options.authoriser = authoriser_.get();
    options.admission_settings = settings;
    machinery_ = std::make_unique<Machinery>(*store_, clock_, options);
    ASSERT_TRUE(machinery_->start().ok());
  }
  AdmissionSettings configured(std::string_view yaml) {
    std::string path = directory_.path() + "/admission.yaml";
    EXPECT_TRUE(os::write_file_plain(path, std::string(yaml)).ok());
    AdmissionSettings settings;
    Result<void> read = read_admission_config(path, settings);
    said_ = read.ok() ? "" : read.error().message();
    return settings;
  }
  std::string refusal(const std::string& ns, const std::string& spec) {
    std::string body = fmt::format(R"({{"metadata":{{"generateName":"p-"}},"spec":{}}})", spec);
    Result<ObjectPtr> made = try_create("pods", ns, body);
    return made.ok() ? "" : made.error().message();
  }
  void space(std::string_view name, std::string_view labels = "{}") {
    create("namespaces", "",
           fmt::format(R"({{"metadata":{{"name":"{}","labels":{}}}}})", name, labels));
    create("serviceaccounts", std::string(name), R"({"metadata":{"name":"default"}})");
  }
  std::string said_;
};

TEST_F(AdmissionTest, LeavesOutWhatIsDisabled) {
  constexpr std::string_view kClaim =
      R"({"metadata":{"generateName":"c-"},"spec":{"accessModes":["ReadWriteOnce"],)"
      R"("resources":{"requests":{"storage":"1Gi"}}}})";
  ObjectPtr held = create("persistentvolumeclaims", "default", kClaim);
  EXPECT_EQ(text(held, "metadata.finalizers"), R"(["kubernetes.io/pvc-protection"])");
  EXPECT_NE(text(create("pods", "default", kPodJson), "spec.tolerations"), "");

  AdmissionSettings less;
  less.disabled = {"StorageObjectInUseProtection", "DefaultTolerationSeconds", "ServiceAccount",
                   "NamespaceLifecycle"};
  use(less);
  ObjectPtr loose = create("persistentvolumeclaims", "default", kClaim);
  EXPECT_EQ(text(loose, "metadata.finalizers"), "");
  ObjectPtr pod = create("pods", "elsewhere", kPodJson);  // Nobody asks for the namespace.
  EXPECT_EQ(text(pod, "spec.tolerations"), "");
  EXPECT_EQ(text(pod, "spec.serviceAccountName"), "");
  EXPECT_EQ(text(pod, "spec.priority"), "0");  // The others run.
}

// What was there before the rules stays as it is, and can be changed otherwise.
TEST_F(AdmissionTest, HardeningLeavesOldObjectsAlone) {
  create("pods", "default", kPodJson);
  create("services", "default",
         R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":1}],"externalIPs":["192.0.2.1",)"
         R"("192.0.2.2"]}})");
  AdmissionSettings hardened;
  hardened.enabled = {"AlwaysPullImages", "DenyServiceExternalIPs"};
  use(hardened);
  Target pod = target("pods", "default", "web");
  EXPECT_TRUE(try_patch(pod, PatchType::kMerge, R"({"metadata":{"labels":{"a":"b"}}})").ok());
  EXPECT_FALSE(try_patch(pod, PatchType::kStrategic,
                         R"({"spec":{"containers":[{"name":"c","image":"nginx:2"}]}})")
                   .ok());
  auto patched = [this](std::string_view addresses) {
    return try_patch(target("services", "default", "s"), PatchType::kMerge,
                     fmt::format(R"({{"spec":{{"externalIPs":{}}}}})", addresses))
        .ok();
  };
  EXPECT_FALSE(patched(R"(["192.0.2.2","192.0.2.3"])"));
  EXPECT_TRUE(patched(R"(["192.0.2.2"])"));
  EXPECT_FALSE(patched(R"(["192.0.2.1","192.0.2.2"])"));
  EXPECT_TRUE(patched("null"));
}

constexpr std::string_view kHostSpec =
    R"({"hostNetwork":true,"containers":[{"name":"c","image":"x"}]})";
constexpr std::string_view kPlainSpec = R"({"containers":[{"name":"c","image":"x"}]})";

TEST_F(AdmissionTest, TakesPodSecurityDefaultsAndExemptions) {
  use(configured(R"(
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline, enforce-version: v1.24, warn: restricted}
    exemptions: {usernames: [alice], namespaces: [free], runtimeClasses: [sandbox]}
)"));
  EXPECT_EQ(said_, "");
  space("free");
  space("open", R"({"pod-security.kubernetes.io/enforce":"privileged"})");
  create("runtimeclasses.node.k8s.io", "", R"({"metadata":{"name":"sandbox"},"handler":"h"})");
  AuditNotes notes;
  context_.notes = &notes;
  EXPECT_NE(
      refusal("default", std::string(kHostSpec))
          .find("violates PodSecurity \"baseline:v1.24\": host namespaces (hostNetwork=true)"),
      std::string::npos);
  EXPECT_EQ(refusal("open", std::string(kHostSpec)), "");
  ASSERT_FALSE(context_.warnings.empty());
  EXPECT_TRUE(context_.warnings[0].starts_with("would violate PodSecurity \"restricted:latest\""));
  EXPECT_EQ(notes.all().front(),
            AuditNotes::Note("pod-security.kubernetes.io/enforce-policy", "baseline:v1.24"));

  auto exempted = [&](const std::string& ns, const std::string& spec) {
    AuditNotes fresh;
    context_.notes = &fresh;
    context_.warnings.clear();
    EXPECT_EQ(refusal(ns, spec), "");
    EXPECT_TRUE(context_.warnings.empty());
    EXPECT_EQ(fresh.all().size(), 1U);
    return fresh.all().front().first == "pod-security.kubernetes.io/exempt"
               ? fresh.all().front().second
               : "";
  };
  EXPECT_EQ(exempted("free", std::string(kHostSpec)), "namespace");
  EXPECT_EQ(
      exempted("default", R"({"runtimeClassName":"sandbox",)" + std::string(kHostSpec).substr(1)),
      "runtimeClass");
  context_.user.name = "alice";
  EXPECT_EQ(exempted("default", std::string(kHostSpec)), "user");
  context_.notes = nullptr;

  // Labels of an exempt namespace are in vain, which is said where they differ from the defaults.
  auto relabelled = [&](std::string_view labels) {
    context_.warnings.clear();
    EXPECT_TRUE(try_patch(target("namespaces", "", "free"), PatchType::kMerge,
                          fmt::format(R"({{"metadata":{{"labels":{}}}}})", labels))
                    .ok());
    return context_.warnings.empty() ? "" : context_.warnings[0];
  };
  EXPECT_EQ(relabelled(R"({"pod-security.kubernetes.io/enforce":"privileged"})"), "");
  EXPECT_EQ(relabelled(R"({"pod-security.kubernetes.io/enforce":"restricted"})"),
            "namespace \"free\" is exempt from Pod Security, and the policy "
            "(enforce=restricted:v1.24) will be ignored");
}

TEST_F(AdmissionTest, LimitedResourcesNeedAQuota) {
  use(configured(R"(
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ResourceQuota
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ResourceQuotaConfiguration
    limitedResources:
    - resource: pods
      matchScopes:
      - {scopeName: PriorityClass, operator: In, values: [system-node-critical]}
    - resource: configmaps
      matchContains: [configmaps]
)"));
  EXPECT_EQ(said_, "");
  const std::string high =
      R"({"priorityClassName":"system-node-critical",)" + std::string(kPlainSpec).substr(1);
  EXPECT_EQ(refusal("default", std::string(kPlainSpec)), "");
  EXPECT_EQ(refusal("default", high),
            "insufficient quota to match these scopes: [{PriorityClass In "
            "[system-node-critical]}]");
  create("resourcequotas", "default",
         R"({"metadata":{"name":"any"},"spec":{"hard":{"pods":"9"}}})");
  EXPECT_NE(refusal("default", high), "");
  create("resourcequotas", "default",
         R"({"metadata":{"name":"high"},"spec":{"hard":{"pods":"1"},"scopeSelector":{
             "matchExpressions":[{"scopeName":"PriorityClass","operator":"Exists"}]}}})");
  EXPECT_EQ(refusal("default", high), "");
  EXPECT_NE(refusal("default", high).find("exceeded quota: high, requested: pods=1"),
            std::string::npos);

  Result<ObjectPtr> map = try_create("configmaps", "default", R"({"metadata":{"name":"m"}})");
  ASSERT_FALSE(map.ok());
  EXPECT_EQ(map.error().message(),
            "configmaps \"m\" is forbidden: insufficient quota to consume: "
            "configmaps,count/configmaps");
  create("resourcequotas", "default",
         R"({"metadata":{"name":"m"},"spec":{"hard":{"configmaps":"9","count/configmaps":"9"}}})");
  EXPECT_TRUE(try_create("configmaps", "default", R"({"metadata":{"name":"m"}})").ok());
}

TEST_F(AdmissionTest, SaysWhatIsWrongWithAConfiguration) {
  const std::string head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\n";
  const std::string failed = "failed to apply admission: failed to read plugin config: ";
  auto says = [this](const std::string& yaml) {
    configured(yaml);
    return said_;
  };
  EXPECT_EQ(says(""), failed + "Object 'Kind' is missing in ''");
  EXPECT_EQ(says("apiVersion: v1\nkind: ConfigMap\n"),
            failed +
                "no kind \"ConfigMap\" is registered for version \"v1\" in scheme "
                "\"pkg/runtime/scheme.go:111\"");
  EXPECT_EQ(says(head + "foo: 1\n"), failed + "strict decoding error: unknown field \"foo\"");
  EXPECT_EQ(says(head + "plugins: []\nplugins: []\n"),
            failed +
                "strict decoding error: yaml: unmarshal errors:\n  line 4: key \"plugins\" "
                "already set in map");
  EXPECT_EQ(says(head + "plugins: 3\n"),
            failed +
                "json: cannot unmarshal number into Go struct field "
                "AdmissionConfiguration.plugins of type []v1.AdmissionPluginConfiguration");
  EXPECT_EQ(says(head + "plugins: [{name: LimitRanger}, {name: PodSecurity}]\n"), "");
  EXPECT_EQ(says(head + "plugins: [{name: Bogus}]\n"),
            "failed to apply admission: plugin \"Bogus\" is unknown");
  EXPECT_EQ(says(head + "plugins: [{name: EventRateLimit}]\n"),
            "failed to apply admission: plugin \"EventRateLimit\" is not built");
  EXPECT_EQ(says(head + "plugins: [{name: LimitRanger, configuration: {a: b}}]\n"),
            "failed to apply admission: plugin \"LimitRanger\" takes no configuration");
  EXPECT_NE(says(head + "plugins: [{name: PodSecurity, path: none.yaml}]\n")
                .find("Couldn't open admission plugin configuration " + directory_.path() +
                      "/none.yaml: "),
            std::string::npos);
}

TEST_F(AdmissionTest, SaysWhatIsWrongWithPodSecurity) {
  auto says = [this](const std::string& body, const std::string& version = "v1") {
    EXPECT_TRUE(os::write_file_plain(directory_.path() + "/ps.yaml",
                                     "apiVersion: pod-security.admission.config.k8s.io/" + version +
                                         "\nkind: PodSecurityConfiguration\n" + body)
                    .ok());
    configured(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\n"
        "plugins: [{name: PodSecurity, path: ps.yaml}]\n");
    return said_;
  };
  const std::string unread =
      "failed to apply admission: couldn't init admission plugin \"PodSecurity\": ";
  const std::string unusable =
      "failed to apply admission: failed to initialize admission plugin \"PodSecurity\": ";
  for (const char* version : {"v1", "v1beta1", "v1alpha1"}) {
    EXPECT_EQ(says("defaults: {enforce: baseline, enforce-version: v1.99}", version), "");
  }
  EXPECT_EQ(says("", "v2"), unread +
                                "no kind \"PodSecurityConfiguration\" is registered for version "
                                "\"pod-security.admission.config.k8s.io/v2\" in scheme "
                                "\"pkg/runtime/scheme.go:111\"");
  EXPECT_EQ(says("defaults: {enforcee: a}\nfoo: 1\n"),
            unread +
                "strict decoding error: unknown field \"defaults.enforcee\", unknown field "
                "\"foo\"");
  EXPECT_EQ(says("defaults: {enforce-version: 1.2}\n"),
            unread +
                "json: cannot unmarshal number into Go struct field "
                "PodSecurityDefaults.defaults.enforce-version of type string");
  EXPECT_EQ(says("defaults: {enforce: bad, audit-version: v1, warn: Baseline}\n"
                 "exemptions: {usernames: ['']}\n"),
            unusable +
                "PodSecurity configuration error: [enforce: must be one of privileged, "
                "baseline, restricted, audit-version: must be \"latest\" or \"v1.x\", "
                "warn: must be one of privileged, baseline, restricted]");
  EXPECT_EQ(says("exemptions: {usernames: ['']}\n"),
            unusable +
                "PodSecurity invalid: exemptions.usernames[0]: Invalid value: \"\": "
                "username must not be empty");
  EXPECT_EQ(says("exemptions: {usernames: [a, a], namespaces: [ok, ok]}\n"),
            unusable +
                "PodSecurity invalid: [exemptions.namespaces[1]: Duplicate value: \"ok\", "
                "exemptions.usernames[1]: Duplicate value: \"a\"]");
}

}  // namespace
}  // namespace wherry::apiserver
