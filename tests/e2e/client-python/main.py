"""Checks of the server by the official Python client. One check a run:

    main.py KUBECONFIG NAMESPACE IMAGE CHECK
    main.py list        the names of the checks

Ends with code 0, or with 1 and what was wrong. IMAGE has a shell and the usual small programs.
"""

import inspect
import json
import sys
import threading
import time

PATIENCE = 60  # Seconds; nothing waits that long when all is well.
CHECKS = {}


def check(function):
    CHECKS[function.__name__.replace("_", "-")] = function
    return function


class Env:
    def __init__(self, kubeconfig, namespace, image):
        from kubernetes import client, config

        config.load_kube_config(kubeconfig)
        self.k, self.namespace, self.image = client, namespace, image
        self.core, self.apps = client.CoreV1Api(), client.AppsV1Api()

    def config_map(self, name, value="0"):
        return self.k.V1ConfigMap(
            metadata=self.k.V1ObjectMeta(name=name, labels={"part": "python"}), data={"value": value}
        )

    def run_pod(self, name, script):
        """Starts a pod of one container and waits, by watching, until it is Ready."""
        from kubernetes import watch

        container = self.k.V1Container(name="main", image=self.image, command=["sh", "-c", script])
        self.core.create_namespaced_pod(
            self.namespace,
            self.k.V1Pod(
                metadata=self.k.V1ObjectMeta(name=name),
                spec=self.k.V1PodSpec(containers=[container], termination_grace_period_seconds=0),
            ),
        )
        watcher = watch.Watch()
        chosen = f"metadata.name={name}"
        for event in watcher.stream(
            self.core.list_namespaced_pod, self.namespace, field_selector=chosen, timeout_seconds=PATIENCE
        ):
            for condition in event["object"].status.conditions or []:
                if condition.type == "Ready" and condition.status == "True":
                    return
        raise AssertionError(f"{name} never became Ready")

    def refused(self, status, function, *arguments, **options):
        """The call fails with this status; its Status object."""
        try:
            function(*arguments, **options)
        except self.k.ApiException as error:
            same("status", error.status, status)
            return json.loads(error.body)
        raise AssertionError(f"{function.__name__} should have failed with {status}")


def same(what, got, wanted):
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"


@check
def objects(e):
    """Create, read, replace, list, delete, and the errors of each."""
    core, space = e.core, e.namespace
    made = core.create_namespaced_config_map(space, e.config_map("thing"))
    assert made.metadata.uid and made.metadata.creation_timestamp.tzinfo
    status = e.refused(409, core.create_namespaced_config_map, space, e.config_map("thing"))
    same("reason", status["reason"], "AlreadyExists")
    same("message", status["message"], 'configmaps "thing" already exists')
    made.data["value"] = "1"
    replaced = core.replace_namespaced_config_map("thing", space, made)
    assert replaced.metadata.resource_version != made.metadata.resource_version
    made.data["value"] = "2"
    status = e.refused(409, core.replace_namespaced_config_map, "thing", space, made)
    same("reason", status["reason"], "Conflict")
    listed = core.list_namespaced_config_map(space, label_selector="part in (python)")
    same("listed", [item.metadata.name for item in listed.items], ["thing"])
    bad = e.config_map("Not_A_Name")
    status = e.refused(422, core.create_namespaced_config_map, space, bad)
    same("causes", [cause["field"] for cause in status["details"]["causes"]], ["metadata.name"])
    gone = core.delete_namespaced_config_map("thing", space)
    same("deleted", gone.status, "Success")
    status = e.refused(404, core.read_namespaced_config_map, "thing", space)
    same("details", status["details"], {"name": "thing", "kind": "configmaps"})
    secret = e.k.V1Secret(metadata=e.k.V1ObjectMeta(name="hush"), string_data={"word": "sesame"})
    same("secret", core.create_namespaced_secret(space, secret).data, {"word": "c2VzYW1l"})
    same("dry", core.create_namespaced_config_map(space, e.config_map("dry"), dry_run="All").metadata.name, "dry")
    e.refused(404, core.read_namespaced_config_map, "dry", space)


@check
def pages(e):
    for i in range(23):
        e.core.create_namespaced_config_map(e.namespace, e.config_map(f"m{i:02}"))
    seen, token = [], None
    while token != "":
        page = e.core.list_namespaced_config_map(e.namespace, limit=5, label_selector="part=python", _continue=token)
        seen += [item.metadata.name for item in page.items]
        token = page.metadata._continue or ""
    same("pages", seen, [f"m{i:02}" for i in range(23)])
    e.core.delete_collection_namespaced_config_map(e.namespace, label_selector="part=python")
    same("left", e.core.list_namespaced_config_map(e.namespace, label_selector="part=python").items, [])


@check
def watching(e):
    """A watch from a list's revision tells each change once and in order, with the objects as they were."""
    from kubernetes import watch

    revision = e.core.list_namespaced_config_map(e.namespace).metadata.resource_version

    def change():
        e.core.create_namespaced_config_map(e.namespace, e.config_map("thing"))
        for i in range(1, 6):
            e.core.patch_namespaced_config_map("thing", e.namespace, {"data": {"value": str(i)}})
        e.core.delete_namespaced_config_map("thing", e.namespace)

    writer = threading.Thread(target=change)
    writer.start()
    seen = []
    watcher = watch.Watch()
    for event in watcher.stream(
        e.core.list_namespaced_config_map,
        e.namespace,
        resource_version=revision,
        label_selector="part=python",
        timeout_seconds=PATIENCE,
    ):
        seen.append((event["type"], event["object"].data["value"]))
        if event["type"] == "DELETED":
            watcher.stop()
    writer.join()
    changes = [("MODIFIED", str(i)) for i in range(1, 6)]
    same("events", seen, [("ADDED", "0")] + changes + [("DELETED", "5")])


@check
def patches(e):
    """What the client makes of the body: a list is a JSON patch, an object a strategic merge patch."""
    labels = {"app": "web"}
    container = e.k.V1Container(name="main", image=e.image, ports=[e.k.V1ContainerPort(container_port=80)])
    e.apps.create_namespaced_deployment(
        e.namespace,
        e.k.V1Deployment(
            metadata=e.k.V1ObjectMeta(name="web", annotations={"note": "mine"}),
            spec=e.k.V1DeploymentSpec(
                replicas=0,
                selector=e.k.V1LabelSelector(match_labels=labels),
                template=e.k.V1PodTemplateSpec(
                    metadata=e.k.V1ObjectMeta(labels=labels), spec=e.k.V1PodSpec(containers=[container])
                ),
            ),
        ),
    )
    patch = e.apps.patch_namespaced_deployment
    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": e.image}]}}}}
    web = patch("web", e.namespace, side)
    same("merged by name", sorted(c.name for c in web.spec.template.spec.containers), ["main", "side"])
    drop = {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}}
    web = patch("web", e.namespace, drop)
    same("dropped", [c.name for c in web.spec.template.spec.containers], ["main"])
    web = patch(
        "web",
        e.namespace,
        [
            {"op": "test", "path": "/spec/replicas", "value": 0},
            {"op": "add", "path": "/metadata/annotations/a~1b", "value": "c"},
        ],
    )
    same("annotation", web.metadata.annotations["a/b"], "c")
    e.refused(422, patch, "web", e.namespace, [{"op": "test", "path": "/spec/replicas", "value": 1}])
    scale = e.apps.patch_namespaced_deployment_scale("web", e.namespace, {"spec": {"replicas": 1}})
    same("scaled", scale.spec.replicas, 1)
    status = e.refused(422, patch, "web", e.namespace, {"spec": {"replicas": -1}})
    same("causes", [cause["field"] for cause in status["details"]["causes"]], ["spec.replicas"])


@check
def exec_stream(e):
    from kubernetes.stream import stream

    e.run_pod("shell", "exec sleep 100000")
    call = e.core.connect_get_namespaced_pod_exec
    options = dict(stderr=True, stdin=False, stdout=True, tty=False)
    out = stream(call, "shell", e.namespace, command=["sh", "-c", "echo out; hostname"], **options)
    same("output", out, "out\nshell\n")
    # The client's streams are made from a copy of the class: a client of its own for each.
    shell = stream(
        e.k.CoreV1Api(e.k.ApiClient()).connect_get_namespaced_pod_exec,
        "shell",
        e.namespace,
        command=["sh"],
        stderr=True,
        stdin=True,
        stdout=True,
        tty=False,
        _preload_content=False,
    )
    shell.write_stdin("echo first\n")
    same("first line", shell.readline_stdout(timeout=PATIENCE), "first")
    shell.write_stdin("echo warn >&2; exit 5\n")
    same("warning", shell.readline_stderr(timeout=PATIENCE), "warn")
    shell.run_forever(timeout=PATIENCE)
    same("exit code", shell.returncode, 5)


@check
def port_forward(e):
    from kubernetes.stream import portforward

    e.run_pod("web", "mkdir /tmp/www; hostname > /tmp/www/index.html; exec httpd -f -p 80 -h /tmp/www")
    end = time.monotonic() + PATIENCE
    while True:  # Ready says nothing of the server's socket yet.
        forward = portforward(e.core.connect_get_namespaced_pod_portforward, "web", e.namespace, ports="80")
        connection = forward.socket(80)
        connection.setblocking(True)
        answer = b""
        try:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while part := connection.recv(4096):
                answer += part
        except OSError as early:  # Refused before the request was out.
            answer = str(early).encode()
        connection.close()
        if answer.endswith(b"\r\nweb\n"):
            same("error", forward.error(80), None)
            return
        assert time.monotonic() < end, f"{answer!r}, {forward.error(80)}"
        time.sleep(0.1)


@check
def log_stream(e):
    e.run_pod("talk", "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done; exec sleep 100000")
    seen = []
    answer = e.core.read_namespaced_pod_log(
        "talk", e.namespace, follow=True, _preload_content=False, _request_timeout=PATIENCE
    )
    for line in answer:
        seen.append(line.decode().strip())
        if len(seen) == 5:
            break
    answer.close()
    same("followed", seen, [f"line {i}" for i in range(1, 6)])
    # This release of the client makes str(bytes) of a plain text, so it is taken as it came.
    tail = e.core.read_namespaced_pod_log("talk", e.namespace, tail_lines=1, _preload_content=False)
    same("tail", tail.data, b"line 5\n")


@check
def dynamic(e):
    """The client that knows no types: discovery, server-side apply, patch, watch."""
    from kubernetes.dynamic import DynamicClient
    from kubernetes.dynamic.exceptions import ConflictError, NotFoundError

    client = DynamicClient(e.k.ApiClient())
    maps = client.resources.get(api_version="v1", kind="ConfigMap")
    same("short names", client.resources.get(api_version="apps/v1", kind="Deployment").short_names, ["deploy"])
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "thing"}, "data": {"a": "1"}}
    space = dict(namespace=e.namespace)
    made = maps.server_side_apply(body=body, field_manager="first", name="thing", **space)
    same("applied", made.data.to_dict(), {"a": "1"})
    body["data"]["a"] = "2"
    try:
        maps.server_side_apply(body=body, field_manager="second", name="thing", **space)
        raise AssertionError("no conflict")
    except ConflictError as error:
        assert 'conflict with \\"first\\"' in str(error.body), error.body
    forced = maps.server_side_apply(body=body, field_manager="second", name="thing", force_conflicts=True, **space)
    same("forced", forced.data.a, "2")
    patch = {"metadata": {"labels": {"colour": "blue"}}}
    merge = "application/merge-patch+json"
    maps.patch(body=patch, name="thing", content_type=merge, **space)
    found = maps.get(label_selector="colour=blue", **space)
    same("found", [item.metadata.name for item in found.items], ["thing"])
    for event in maps.watch(name="thing", timeout=PATIENCE, **space):
        same("event", (event["type"], event["object"].data.a), ("ADDED", "2"))
        break
    maps.delete(name="thing", **space)
    try:
        maps.get(name="thing", **space)
        raise AssertionError("it is there")
    except NotFoundError:
        pass


@check
def from_yaml(e):
    """create_from_dict and apply of several objects, as scripts do."""
    from kubernetes import utils

    labels = {"app": "web"}
    for thing in (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": labels, "ports": [{"port": 80}]}},
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "nightly"},
            "spec": {
                "schedule": "0 3 * * *",
                "suspend": True,
                "jobTemplate": {
                    "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": e.image}]}}}
                },
            },
        },
    ):
        utils.create_from_dict(e.k.ApiClient(), thing, namespace=e.namespace)
    service = e.core.read_namespaced_service("web", e.namespace)
    assert service.spec.cluster_ip.startswith("10.43."), service.spec.cluster_ip
    job = e.k.BatchV1Api().read_namespaced_cron_job("nightly", e.namespace)
    same("policy", job.spec.concurrency_policy, "Allow")
    version = e.k.VersionApi().get_code()
    same("version", (version.major, version.minor), ("1", "36"))
    groups = {group.name for group in e.k.ApisApi().get_api_versions().groups}
    assert {"apps", "batch", "networking.k8s.io"} <= groups, groups


def main():
    if sys.argv[1:] == ["list"]:
        print("\n".join(CHECKS))
        return
    if len(sys.argv) != 5 or sys.argv[4] not in CHECKS:
        sys.exit(inspect.cleandoc(__doc__))
    CHECKS[sys.argv[4]](Env(*sys.argv[1:4]))


main()
