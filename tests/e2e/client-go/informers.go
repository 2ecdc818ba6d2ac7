package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"
)

// heard counts what the handlers of an informer were told.
type heard struct {
	mutex                   sync.Mutex
	added, updated, deleted map[string]int
}

func listen(informer cache.SharedIndexInformer) (*heard, error) {
	h := &heard{added: map[string]int{}, updated: map[string]int{}, deleted: map[string]int{}}
	note := func(in map[string]int, object any) {
		name, _ := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
		h.mutex.Lock()
		defer h.mutex.Unlock()
		in[name]++
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { note(h.added, object) },
		UpdateFunc: func(_, object any) { note(h.updated, object) },
		DeleteFunc: func(object any) { note(h.deleted, object) },
	})
	return h, err
}

func (h *heard) says(ctx context.Context, what string, in map[string]int, key string, times int) error {
	return eventually(ctx, what, func(context.Context) error {
		h.mutex.Lock()
		defer h.mutex.Unlock()
		return same(key, in[key], times)
	})
}

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"part": "informers"}},
		Data:       map[string]string{"value": value},
	}
}

func informer(ctx context.Context, e *env) error { return informerWith(ctx, e, e.client) }

func informerProtobuf(ctx context.Context, e *env) error {
	client, err := e.binary()
	if err != nil {
		return err
	}
	return informerWith(ctx, e, client)
}

// The initial state comes through the watch itself, unless the environment says otherwise.
func informerWith(ctx context.Context, e *env, client kubernetes.Interface) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	maps := client.CoreV1().ConfigMaps(e.namespace)
	for i := range 30 {
		if _, err := maps.Create(ctx, configMap(fmt.Sprint("before-", i), "0"), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(e.namespace),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = "part=informers" }))
	informer := factory.Core().V1().ConfigMaps().Informer()
	lister := factory.Core().V1().ConfigMaps().Lister().ConfigMaps(e.namespace)
	h, err := listen(informer)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return fmt.Errorf("never synced")
	}
	found, err := lister.List(labels.Everything())
	if err := all(err, same("cached at the start", len(found), 30)); err != nil {
		return err
	}
	lists := e.traffic.with("GET", "/configmaps?", "labelSelector")
	streamed := e.traffic.with("sendInitialEvents=true")
	if os.Getenv("KUBE_FEATURE_WatchListClient") == "false" {
		if len(streamed) > 0 {
			return fmt.Errorf("streamed all the same: %v", streamed)
		}
	} else if err := all(same("streamed lists", len(streamed), 1), same("requests until synced", len(lists), 1)); err != nil {
		return err
	}
	key := func(name string) string { return e.namespace + "/" + name }
	if _, err := maps.Create(ctx, configMap("after", "0"), metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := h.says(ctx, "added", h.added, key("after"), 1); err != nil {
		return err
	}
	if _, err := maps.Update(ctx, configMap("after", "1"), metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := h.says(ctx, "updated", h.updated, key("after"), 1); err != nil {
		return err
	}
	cached, err := lister.Get("after")
	if err := all(err, same("cached", cached.Data["value"], "1")); err != nil {
		return err
	}
	// What no longer matches the selector goes from the cache as if deleted.
	changed := cached.DeepCopy()
	changed.Labels = nil
	if _, err := maps.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := h.says(ctx, "left the selection", h.deleted, key("after"), 1); err != nil {
		return err
	}
	if err := maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "part=informers"}); err != nil {
		return err
	}
	return all(
		h.says(ctx, "deleted", h.deleted, key("before-0"), 1),
		h.says(ctx, "deleted", h.deleted, key("before-29"), 1))
}

// A controller's usual dozen of informers over the whole cluster, all synced; objects agree with GET.
func informerMany(ctx context.Context, e *env) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := e.binary()
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 10*time.Minute)
	core, apps, batch := factory.Core().V1(), factory.Apps().V1(), factory.Batch().V1()
	all := []cache.SharedIndexInformer{
		core.Nodes().Informer(), core.Pods().Informer(), core.Services().Informer(), core.ConfigMaps().Informer(),
		core.Secrets().Informer(), core.Namespaces().Informer(), core.ServiceAccounts().Informer(), core.Events().Informer(),
		core.PersistentVolumes().Informer(), core.PersistentVolumeClaims().Informer(), apps.Deployments().Informer(),
		apps.ReplicaSets().Informer(), apps.StatefulSets().Informer(), apps.DaemonSets().Informer(),
		batch.Jobs().Informer(), batch.CronJobs().Informer(), factory.Networking().V1().Ingresses().Informer(),
		factory.Networking().V1().NetworkPolicies().Informer(), factory.Discovery().V1().EndpointSlices().Informer(),
		factory.Policy().V1().PodDisruptionBudgets().Informer(), factory.Autoscaling().V2().HorizontalPodAutoscalers().Informer(),
		factory.Coordination().V1().Leases().Informer(), factory.Storage().V1().StorageClasses().Informer(),
		factory.Scheduling().V1().PriorityClasses().Informer(), factory.Rbac().V1().Roles().Informer(),
		factory.Rbac().V1().ClusterRoles().Informer(),
	}
	factory.Start(ctx.Done())
	for resource, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("%v never synced", resource)
		}
	}
	if err := same("informers", len(all), 26); err != nil {
		return err
	}
	for _, item := range core.Services().Informer().GetStore().List() {
		cached := item.(*corev1.Service)
		got, err := e.client.CoreV1().Services(cached.Namespace).Get(ctx, cached.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := same("Service "+cached.Name, cached.Spec, got.Spec); err != nil {
			return err
		}
	}
	return nil
}

func dynamicInformer(ctx context.Context, e *env) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := dynamic.NewForConfig(e.config)
	if err != nil {
		return err
	}
	resource := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, e.namespace, func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("metadata.name", "chosen").String()
	})
	informer := factory.ForResource(resource).Informer()
	h, err := listen(informer)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return fmt.Errorf("never synced")
	}
	for _, name := range []string{"other", "chosen"} {
		if _, err := e.client.CoreV1().ConfigMaps(e.namespace).Create(ctx, configMap(name, "0"), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	if err := h.says(ctx, "added", h.added, e.namespace+"/chosen", 1); err != nil {
		return err
	}
	cached, err := factory.ForResource(resource).Lister().ByNamespace(e.namespace).Get("chosen")
	if err != nil {
		return err
	}
	value, _, _ := unstructured.NestedString(cached.(*unstructured.Unstructured).Object, "data", "value")
	return all(same("value", value, "0"), same("cached", len(informer.GetStore().ListKeys()), 1))
}

// A watcher that loses its connection again and again misses nothing and sees nothing twice.
func watchResume(ctx context.Context, e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	list, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	cut := int64(1) // Second after which the server ends each watch.
	watcher, err := toolswatch.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector, options.TimeoutSeconds = "part=informers", &cut
			return maps.Watch(ctx, options)
		},
	})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	const count = 40
	made := make(chan error, 1)
	go func() {
		for i := range count {
			if _, err := maps.Create(ctx, configMap(fmt.Sprintf("m%02d", i), "0"), metav1.CreateOptions{}); err != nil {
				made <- err
				return
			}
			time.Sleep(80 * time.Millisecond) // Spreads them over several connections; nothing depends on it.
		}
		made <- nil
	}()
	for i := range count {
		select {
		case event, open := <-watcher.ResultChan():
			if !open {
				return fmt.Errorf("the watch ended at %d", i)
			}
			if err := all(same("type", event.Type, watch.Added), same("name", nameOf(event.Object), fmt.Sprintf("m%02d", i))); err != nil {
				return err
			}
		case <-time.After(patience):
			return fmt.Errorf("only %d events came", i)
		}
	}
	if err := <-made; err != nil {
		return err
	}
	if watches := len(e.traffic.with("watch=true")); watches < 3 {
		return fmt.Errorf("the server never ended a watch: %d of them", watches)
	}
	return nil
}

func nameOf(object runtime.Object) string {
	if accessor, ok := object.(metav1.ObjectMetaAccessor); ok {
		return accessor.GetObjectMeta().GetName()
	}
	return fmt.Sprintf("%T", object)
}
