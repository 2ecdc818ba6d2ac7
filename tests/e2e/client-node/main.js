// Checks of the server by the official JavaScript client. One check a run:
//
//   main.js KUBECONFIG NAMESPACE IMAGE CHECK
//   main.js list        the names of the checks
//
// Ends with code 0, or with 1 and what was wrong. IMAGE has a shell and the usual small programs.

import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import * as k8s from '@kubernetes/client-node';

const patience = 60_000; // Milliseconds; nothing waits that long when all is well.

class Env {
  constructor(kubeconfig, namespace, image) {
    this.config = new k8s.KubeConfig();
    this.config.loadFromFile(kubeconfig);
    this.namespace = namespace;
    this.image = image;
    this.core = this.config.makeApiClient(k8s.CoreV1Api);
    this.apps = this.config.makeApiClient(k8s.AppsV1Api);
  }

  configMap(name, value = '0') {
    return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { part: 'node' } }, data: { value } };
  }

  create(body) {
    return this.core.createNamespacedConfigMap({ namespace: this.namespace, body });
  }

  // A pod of one container; waits until it is Ready.
  async runPod(name, script, options = {}) {
    const { namespace, image } = this;
    const container = { name: 'main', image, command: ['sh', '-c', script], ...options };
    const body = { metadata: { name }, spec: { terminationGracePeriodSeconds: 0, containers: [container] } };
    await this.core.createNamespacedPod({ namespace, body });
    await eventually(`${name} is Ready`, async () => {
      const pod = await this.core.readNamespacedPod({ name, namespace });
      const ready = pod.status.conditions?.find((condition) => condition.type === 'Ready');
      assert.equal(ready?.status, 'True');
    });
  }
}

// Calls until it throws no more; what it threw last is the error when it never does.
async function eventually(what, call) {
  const end = Date.now() + patience;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > end) throw new Error(`${what}: ${error.message ?? error}`);
    }
    await delay(50);
  }
}

// The call fails with this code; its Status object.
async function refused(code, call) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof k8s.ApiException)) throw error;
    assert.equal(error.code, code, error.body);
    return JSON.parse(error.body);
  }
  throw new Error(`should have failed with ${code}`);
}

// What a stream brings, as text that can be waited for.
class Collected extends PassThrough {
  constructor() {
    super();
    this.text = '';
    this.on('data', (part) => (this.text += part));
  }
  async until(pattern) {
    await eventually(`${pattern}`, async () => assert.match(this.text, pattern));
    return this.text;
  }
}

const checks = {
  async objects(e) {
    const { core, namespace } = e;
    const made = await e.create(e.configMap('thing'));
    assert.ok(made.metadata.creationTimestamp instanceof Date);
    assert.equal((await refused(409, () => e.create(e.configMap('thing')))).reason, 'AlreadyExists');
    made.data.value = '1';
    const replace = () => core.replaceNamespacedConfigMap({ name: 'thing', namespace, body: made });
    await replace();
    assert.equal((await refused(409, replace)).reason, 'Conflict');
    const listed = await core.listNamespacedConfigMap({ namespace, labelSelector: 'part=node', limit: 5 });
    assert.deepEqual(listed.items.map((item) => item.data), [{ value: '1' }]);
    const wrong = await refused(422, () => e.create(e.configMap('Not_A_Name')));
    assert.equal(wrong.details.causes[0].field, 'metadata.name');
    const deleted = await core.deleteNamespacedConfigMap({ name: 'thing', namespace });
    assert.equal(deleted.status, 'Success');
    const gone = await refused(404, () => core.readNamespacedConfigMap({ name: 'thing', namespace }));
    assert.equal(gone.message, 'configmaps "thing" not found');
    const body = { metadata: { name: 'hush' }, stringData: { word: 'sesame' } };
    assert.deepEqual((await core.createNamespacedSecret({ namespace, body })).data, { word: 'c2VzYW1l' });
  },

  async informer(e) {
    const { core, namespace } = e;
    for (let i = 0; i < 20; i++) await e.create(e.configMap(`before-${i}`));
    const labelSelector = 'part=node';
    const list = () => core.listNamespacedConfigMap({ namespace, labelSelector });
    const informer = k8s.makeInformer(e.config, `/api/v1/namespaces/${namespace}/configmaps`, list, labelSelector);
    const heard = [];
    for (const verb of ['add', 'update', 'delete']) {
      informer.on(verb, (object) => heard.push(`${verb} ${object.metadata.name} ${object.data.value}`));
    }
    let wrong;
    informer.on('error', (error) => (wrong = error));
    await informer.start();
    assert.equal(informer.list(namespace).length, 20);
    await e.create(e.configMap('after'));
    const patch = [{ op: 'replace', path: '/data/value', value: '1' }];
    await core.patchNamespacedConfigMap({ name: 'after', namespace, body: patch });
    await core.deleteNamespacedConfigMap({ name: 'after', namespace });
    const wanted = ['add after 0', 'update after 1', 'delete after 1'];
    await eventually('events', async () => assert.deepEqual(heard.filter((line) => line.includes('after')), wanted));
    assert.equal(informer.get('after', namespace), undefined);
    assert.equal(wrong, undefined);
    await informer.stop();
  },

  async watch(e) {
    const { core, namespace } = e;
    const resourceVersion = (await core.listNamespacedConfigMap({ namespace })).metadata.resourceVersion;
    const heard = [];
    const query = { resourceVersion, allowWatchBookmarks: true, timeoutSeconds: 3, labelSelector: 'part=node' };
    let ended;
    const end = new Promise((resolve) => (ended = resolve));
    const watch = new k8s.Watch(e.config);
    const note = (phase, object) => phase === 'BOOKMARK' || heard.push(`${phase} ${object.metadata.name}`);
    await watch.watch(`/api/v1/namespaces/${namespace}/configmaps`, query, note, ended);
    for (const name of ['a', 'b', 'c']) await e.create(e.configMap(name));
    // The server ends it after the seconds that were asked for.
    await end;
    assert.deepEqual(heard, ['ADDED a', 'ADDED b', 'ADDED c']);
  },

  async patches(e) {
    const { apps, namespace, image } = e;
    const name = 'web';
    const template = { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image }] } };
    const spec = { replicas: 0, selector: { matchLabels: { app: name } }, template };
    await apps.createNamespacedDeployment({ namespace, body: { metadata: { name }, spec } });
    const patch = (type, body) =>
      apps.patchNamespacedDeployment({ name, namespace, body }, k8s.setHeaderOptions('Content-Type', type));
    const side = { spec: { template: { spec: { containers: [{ name: 'side', image }] } } } };
    const { StrategicMergePatch, MergePatch, JsonPatch } = k8s.PatchStrategy;
    let web = await patch(StrategicMergePatch, side);
    assert.deepEqual(web.spec.template.spec.containers.map((c) => c.name).sort(), ['main', 'side']);
    web = await patch(MergePatch, side);
    assert.deepEqual(web.spec.template.spec.containers.map((c) => c.name), ['side']);
    web = await patch(JsonPatch, [
      { op: 'test', path: '/spec/template/spec/containers/0/name', value: 'side' },
      { op: 'add', path: '/metadata/labels', value: { 'a/b': 'c' } },
    ]);
    assert.deepEqual(web.metadata.labels, { 'a/b': 'c' });
    web = await patch(JsonPatch, [{ op: 'remove', path: '/metadata/labels/a~1b' }]);
    assert.equal(web.metadata.labels?.['a/b'], undefined);
    await refused(422, () => patch(JsonPatch, [{ op: 'test', path: '/spec/replicas', value: 7 }]));
    await refused(415, () => patch('application/unheard-of', {}));
    const scale = { name, namespace, body: { spec: { replicas: 1 } } };
    const scaled = await apps.patchNamespacedDeploymentScale(scale, k8s.setHeaderOptions('Content-Type', MergePatch));
    assert.equal(scaled.spec.replicas, 1);
  },

  async apply(e) {
    const client = k8s.KubernetesObjectApi.makeApiClient(e.config);
    const { ServerSideApply } = k8s.PatchStrategy;
    const apply = (object, manager, force) => client.patch(object, undefined, undefined, manager, force, ServerSideApply);
    const thing = () => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'thing', namespace: e.namespace } });
    const made = await apply({ ...thing(), data: { a: '1', b: '1' } }, 'first', false);
    assert.deepEqual(made.data, { a: '1', b: '1' });
    const again = await apply({ ...thing(), data: { a: '1', b: '1' } }, 'first', false);
    assert.equal(again.metadata.resourceVersion, made.metadata.resourceVersion);
    const rival = { ...thing(), data: { a: '2' } };
    const conflict = await refused(409, () => apply(rival, 'second', false));
    assert.deepEqual(conflict.details.causes, [
      { reason: 'FieldManagerConflict', message: 'conflict with "first"', field: '.data.a' },
    ]);
    const forced = await apply(rival, 'second', true);
    assert.deepEqual(forced.data, { a: '2', b: '1' });
    const left = await apply(thing(), 'first', false);
    assert.deepEqual(left.data, { a: '2' });
    const managers = left.metadata.managedFields.map((entry) => `${entry.manager} ${entry.operation}`);
    assert.deepEqual(managers, ['second Apply']);
    const ingress = { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata: { name: 'door', namespace: e.namespace } };
    ingress.spec = { defaultBackend: { service: { name: 'web', port: { number: 80 } } } };
    await apply(ingress, 'first', false);
    assert.equal((await client.read(ingress)).spec.defaultBackend.service.name, 'web');
  },

  async exec(e) {
    await e.runPod('shell', 'exec sleep 100000');
    const exec = new k8s.Exec(e.config);
    const run = async (command, stdin, tty = false) => {
      const [out, warn] = [new Collected(), new Collected()];
      const status = new Promise((resolve, reject) => {
        exec.exec(e.namespace, 'shell', 'main', command, out, tty ? null : warn, stdin, tty, resolve).catch(reject);
      });
      return { out, warn, status };
    };
    let it = await run(['sh', '-c', 'echo out; echo warn >&2; exit 3'], null);
    const failed = await it.status;
    assert.equal(failed.status, 'Failure');
    assert.deepEqual(failed.details.causes, [{ reason: 'ExitCode', message: '3' }]);
    assert.deepEqual([it.out.text, it.warn.text], ['out\n', 'warn\n']);
    it = await run(['head', '-c', '1000000', '/dev/zero'], null);
    assert.equal((await it.status).status, 'Success');
    assert.equal(it.out.text.length, 1000000);
    let stdin = new PassThrough();
    it = await run(['sh'], stdin);
    stdin.write('echo first\n');
    await it.out.until(/^first$/m);
    stdin.write('exit 0\n');
    assert.equal((await it.status).status, 'Success');
    stdin = new PassThrough();
    it = await run(['sh'], stdin, true);
    await it.out.until(/# /);
    stdin.write('tty; exit 4\n');
    assert.equal((await it.status).details.causes[0].message, '4');
    assert.match(it.out.text, /\/dev\/(pts\/0|console)/);
  },

  async attach(e) {
    await e.runPod('echo', 'while read line; do echo heard $line; done', { stdin: true });
    const [out, stdin] = [new Collected(), new PassThrough()];
    const socket = await new k8s.Attach(e.config).attach(e.namespace, 'echo', 'main', out, null, stdin, false);
    stdin.write('ahoy\n');
    await out.until(/^heard ahoy$/m);
    socket.close();
  },

  // The stream ends neither early nor late: each line comes when it is written.
  async logs(e) {
    await e.runPod('talk', 'echo one; read line; echo $line; exec sleep 100000', { stdin: true });
    const out = new Collected();
    const stop = await new k8s.Log(e.config).log(e.namespace, 'talk', 'main', out, { follow: true });
    await out.until(/^one$/m);
    const stdin = new PassThrough();
    const socket = await new k8s.Attach(e.config).attach(e.namespace, 'talk', 'main', new Collected(), null, stdin, false);
    stdin.write('two\n');
    await out.until(/^two$/m);
    stop.abort();
    socket.close();
    const text = await e.core.readNamespacedPodLog({ name: 'talk', namespace: e.namespace, tailLines: 1 });
    assert.equal(text, 'two\n');
  },

  async 'port-forward'(e) {
    await e.runPod('web', 'mkdir /tmp/www; hostname > /tmp/www/index.html; exec httpd -f -p 80 -h /tmp/www');
    const forward = new k8s.PortForward(e.config);
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      forward.portForward(e.namespace, 'web', [80], socket, null, socket).catch(() => socket.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    await eventually('the page', async () => {
      const socket = net.connect(server.address().port, '127.0.0.1');
      const page = new Collected();
      socket.pipe(page);
      try {
        socket.write('GET / HTTP/1.0\r\n\r\n');
        const end = Date.now() + 2000; // Ready says nothing of the pod's socket yet: then once more.
        while (!/\r\nweb\n$/.test(page.text) && Date.now() < end) await delay(20);
        assert.match(page.text, /^HTTP\/1.[01] 200 OK/);
        assert.match(page.text, /\r\nweb\n$/);
      } finally {
        socket.destroy();
      }
    });
  },
};

const [kubeconfig, namespace, image, name] = process.argv.slice(2);
if (kubeconfig === 'list') {
  console.log(Object.keys(checks).join('\n'));
} else if (checks[name] === undefined) {
  console.error('usage: main.js KUBECONFIG NAMESPACE IMAGE CHECK');
  process.exit(2);
} else {
  try {
    await checks[name](new Env(kubeconfig, namespace, image));
    process.exit(0); // Connections that are kept open do not matter.
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}
