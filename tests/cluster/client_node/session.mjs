// What a program in JavaScript does with @kubernetes/client-node, unchanged; prints what it has seen as one JSON object.
import * as k8s from '@kubernetes/client-node';
import { PassThrough, Writable } from 'node:stream';

const [kubeconfig, namespace] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromFile(kubeconfig);
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const generic = k8s.KubernetesObjectApi.makeApiClient(config);
const seen = {};

function configMap(name) {
  return {
    apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels: { app: 'notes' } }, data: { x: '1' },
  };
}

// Resolves with what `found` returns of an event, as soon as it returns something.
function watched(path, query, found) {
  return new Promise((resolve, reject) => {
    let stop;
    const event = (type, object) => {
      const result = found(type, object);
      if (result !== undefined) { resolve(result); stop?.then((request) => request.abort()); }
    };
    stop = new k8s.Watch(config).watch(path, query, event, (error) => { if (error) reject(error); });
    stop.catch(reject);
  });
}

async function maps() {
  await core.createNamespacedConfigMap({ namespace, body: configMap('typed') });
  await generic.create(configMap('generic'));
  const listed = await core.listNamespacedConfigMap({ namespace, labelSelector: 'app=notes' });
  seen.listed = listed.items.map((item) => item.metadata.name).sort();
  const merge = k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch);
  await core.patchNamespacedConfigMap({ name: 'typed', namespace, body: { data: { x: '2' } } }, merge);
  const json = k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.JsonPatch);
  const add = [{ op: 'add', path: '/data/y', value: '3' }];
  seen.patched = (await core.patchNamespacedConfigMap({ name: 'typed', namespace, body: add }, json)).data;
  const applied = { ...configMap('applied'), data: { z: '4' } };
  const apply = k8s.PatchStrategy.ServerSideApply;
  seen.applied = (await generic.patch(applied, undefined, undefined, 'script', true, apply)).metadata.managedFields[0];
  await core.deleteNamespacedConfigMap({ name: 'generic', namespace });
  const events = [];
  const query = { labelSelector: 'app=notes', resourceVersion: listed.metadata.resourceVersion };
  seen.events = await watched(`/api/v1/namespaces/${namespace}/configmaps`, query, (type, object) => {
    events.push([type, object.metadata.name]);
    return events.length === 4 ? events : undefined;
  });
  seen.missing = await core.readNamespacedConfigMap({ name: 'generic', namespace }).catch((error) => ({
    code: error.code, reason: JSON.parse(error.body).reason,
  }));
}

async function informed() {
  const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: 'app=informed' });
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const informer = k8s.makeInformer(config, path, list, 'app=informed');
  const added = new Promise((resolve, reject) => {
    informer.on('add', (object) => resolve(object.metadata.name));
    informer.on('error', reject);
  });
  await informer.start();
  const body = configMap('informed');
  body.metadata.labels = { app: 'informed' };
  await core.createNamespacedConfigMap({ namespace, body });
  seen.informed = await added;
  await informer.stop();
}

async function workload() {
  const container = {
    name: 'main', image: 'none', command: ['sh', '-c', 'echo hello from the pod; exec sleep 1000'],
  };
  const labels = { app: 'node-web' };
  const body = {
    metadata: { name: 'node-web' },
    spec: { replicas: 2, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [container] } } },
  };
  await apps.createNamespacedDeployment({ namespace, body });
  await watched(`/apis/apps/v1/namespaces/${namespace}/deployments`, { fieldSelector: 'metadata.name=node-web' },
    (type, object) => (object.status?.readyReplicas === 2 ? true : undefined));
  const pods = await core.listNamespacedPod({ namespace, labelSelector: 'app=node-web' });
  const pod = pods.items[0].metadata.name;
  seen.phases = pods.items.map((item) => item.status.phase);
  seen.log = await core.readNamespacedPodLog({ name: pod, namespace });
  seen.exec = await executed(pod, ['sh', '-c', 'cat; echo done; exit 3'], 'through stdin\n');
  await apps.deleteNamespacedDeployment({ name: 'node-web', namespace });
}

function executed(pod, command, input) {
  return new Promise((resolve, reject) => {
    let output = '';
    const stdout = new Writable({ write(chunk, _, next) { output += chunk; next(); } });
    const stdin = new PassThrough();
    const exec = new k8s.Exec(config);
    const over = (status) => resolve({ output, status: status.status, causes: status.details?.causes ?? [] });
    exec.exec(namespace, pod, 'main', command, stdout, process.stderr, stdin, false, over).catch(reject);
    stdin.end(input);
  });
}

await maps();
await informed();
await workload();
process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit(0));
