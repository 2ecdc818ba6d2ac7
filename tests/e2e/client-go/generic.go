package main

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/util/retry"
)

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

func (e *env) typedDeployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	replicas := int32(0)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: map[string]string{"ünïcode": ""}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "main", Image: e.image,
					Env: []corev1.EnvVar{{Name: "A", Value: "b=c\n"}},
					Resources: corev1.ResourceRequirements{
						Requests: corev1.ResourceList{"cpu": resource.MustParse("1500m"), "memory": resource.MustParse("1Gi")},
					},
				}}},
			},
		},
	}
}

// protobufBodies writes and reads in protobuf and compares with what a JSON client sees.
func protobufBodies(ctx context.Context, e *env) error {
	client, err := e.binary()
	if err != nil {
		return err
	}
	plain := e.typedDeployment("plain")
	plain.Annotations = map[string]string{"note": "value"}
	if _, err := client.AppsV1().Deployments(e.namespace).Create(ctx, plain, metav1.CreateOptions{}); err != nil {
		return err
	}
	binary, err := client.AppsV1().Deployments(e.namespace).Get(ctx, "plain", metav1.GetOptions{})
	if err != nil {
		return err
	}
	text, err := e.client.AppsV1().Deployments(e.namespace).Get(ctx, "plain", metav1.GetOptions{})
	if err := all(err, same("spec", binary.Spec, text.Spec), same("cpu", binary.Spec.Template.Spec.Containers[0].Resources.Requests.Cpu().String(), "1500m")); err != nil {
		return err
	}
	word := []byte{0, 1, 254, 255}
	if _, err := client.CoreV1().Secrets(e.namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bytes"}, Data: map[string][]byte{"word": word},
		StringData: map[string]string{"other": "text"},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	secret, err := e.client.CoreV1().Secrets(e.namespace).Get(ctx, "bytes", metav1.GetOptions{})
	if err := all(err, same("bytes", secret.Data["word"], word), same("stringData", string(secret.Data["other"]), "text")); err != nil {
		return err
	}
	now := metav1.NowMicro()
	if _, err := client.CoordinationV1().Leases(e.namespace).Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "timed"}, Spec: coordinationv1.LeaseSpec{RenewTime: &now},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	lease, err := client.CoordinationV1().Leases(e.namespace).Get(ctx, "timed", metav1.GetOptions{})
	if err := all(err, same("microseconds", lease.Spec.RenewTime.UnixMicro(), now.UnixMicro())); err != nil {
		return err
	}
	_, err = client.AppsV1().Deployments(e.namespace).Create(ctx, e.typedDeployment("bad"), metav1.CreateOptions{})
	if !errors.IsInvalid(err) {
		return fmt.Errorf("an annotation with a bad name: %v", err)
	}
	_, err = client.CoreV1().Pods(e.namespace).Get(ctx, "nobody", metav1.GetOptions{})
	if !errors.IsNotFound(err) {
		return fmt.Errorf("not there: %v", err)
	}
	// All was protobuf, the Status of errors included, but for the JSON client's two GETs.
	return all(same("in JSON", len(e.traffic.with("application/json")), 2),
		same("not found in protobuf", len(e.traffic.with("/pods/nobody 404 "+protobuf)), 1))
}

func dynamicClient(ctx context.Context, e *env) error {
	client, err := dynamic.NewForConfig(e.config)
	if err != nil {
		return err
	}
	inSpace := client.Resource(deployments).Namespace(e.namespace)
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{
			"replicas": int64(0), "selector": map[string]any{"matchLabels": map[string]any{"a": "b"}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"a": "b"}},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "main", "image": e.image}}},
			},
		},
	}}
	made, err := inSpace.Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	policy, _, _ := unstructured.NestedString(made.Object, "spec", "template", "spec", "restartPolicy")
	if err := same("defaulted", policy, "Always"); err != nil {
		return err
	}
	patches := map[types.PatchType]string{
		types.JSONPatchType:           `[{"op":"add","path":"/metadata/labels","value":{"json":"1"}}]`,
		types.MergePatchType:          `{"metadata":{"labels":{"merge":"1"}}}`,
		types.StrategicMergePatchType: `{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"` + e.image + `"}]}}}}`,
	}
	for _, kind := range []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType} {
		if made, err = inSpace.Patch(ctx, "web", kind, []byte(patches[kind]), metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	containers, _, _ := unstructured.NestedSlice(made.Object, "spec", "template", "spec", "containers")
	if err := all(same("labels", made.GetLabels(), map[string]string{"json": "1", "merge": "1"}), same("containers", len(containers), 2)); err != nil {
		return err
	}
	wish := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "settings"}, "data": map[string]any{"a": "1"},
	}}
	maps := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(e.namespace)
	if _, err := maps.Apply(ctx, "settings", wish, metav1.ApplyOptions{FieldManager: "tool"}); err != nil {
		return err
	}
	unstructured.SetNestedField(object.Object, "x", "spec", "unheardOf")
	object.SetName("strict")
	_, err = inSpace.Create(ctx, object, metav1.CreateOptions{FieldValidation: "Strict"})
	if err == nil || !strings.Contains(err.Error(), `unknown field "spec.unheardOf"`) {
		return fmt.Errorf("strict: %v", err)
	}
	list, err := inSpace.List(ctx, metav1.ListOptions{})
	return all(err, same("listed", len(list.Items), 1), same("kind", list.Items[0].GetKind(), "Deployment"))
}

// The metadata client reads and writes PartialObjectMetadata, in protobuf.
func metadataClient(ctx context.Context, e *env) error {
	client, err := metadata.NewForConfig(e.config)
	if err != nil {
		return err
	}
	if _, err := e.client.AppsV1().Deployments(e.namespace).Create(ctx, func() *appsv1.Deployment {
		d := e.typedDeployment("web")
		d.Annotations = nil
		return d
	}(), metav1.CreateOptions{}); err != nil {
		return err
	}
	inSpace := client.Resource(deployments).Namespace(e.namespace)
	list, err := inSpace.List(ctx, metav1.ListOptions{})
	if err := all(err, same("listed", len(list.Items), 1), same("app", list.Items[0].Labels["app"], "web")); err != nil {
		return err
	}
	watcher, err := inSpace.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	patched, err := inSpace.Patch(ctx, "web", types.MergePatchType, []byte(`{"metadata":{"annotations":{"note":"x"}}}`), metav1.PatchOptions{})
	if err := all(err, same("patched", patched.Annotations["note"], "x")); err != nil {
		return err
	}
	seen := false
	for !seen {
		select {
		case event, open := <-watcher.ResultChan():
			if !open {
				return fmt.Errorf("the watch ended")
			}
			seen = event.Object.(*metav1.PartialObjectMetadata).Annotations["note"] == "x"
		case <-ctx.Done():
			return fmt.Errorf("no event of the patch")
		}
	}
	if err := inSpace.Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		return err
	}
	_, err = inSpace.Get(ctx, "web", metav1.GetOptions{})
	if !errors.IsNotFound(err) {
		return fmt.Errorf("after the delete: %v", err)
	}
	return nil
}

// Aggregated discovery in one request and the old way say the same; each group has its OpenAPI.
// Kinds that can be made and not listed, reviews aside: those have one verb.
func isRetired(list *metav1.APIResourceList) bool {
	for _, resource := range list.APIResources {
		if len(resource.Verbs) == 1 || strings.Contains(strings.Join(resource.Verbs, " "), "list") {
			return false
		}
	}
	return true
}

func discoveryClient(ctx context.Context, e *env) error {
	client, err := discovery.NewDiscoveryClientForConfig(e.config)
	if err != nil {
		return err
	}
	// Only the two roots.
	_, lists, err := client.ServerGroupsAndResources()
	if err := all(err, same("requests", len(e.traffic.with("GET /api")), 2)); err != nil {
		return err
	}
	client.UseLegacyDiscovery = true
	_, old, err := client.ServerGroupsAndResources()
	if err != nil {
		return err
	}
	aggregated, listed := described(lists), described(old)
	if err := same("resources", len(aggregated), len(listed)); err != nil {
		return err
	}
	for name, description := range listed {
		if err := same(name, aggregated[name], description); err != nil {
			return err
		}
	}
	resources, err := restmapper.GetAPIGroupResources(client)
	if err != nil {
		return err
	}
	mapping, err := restmapper.NewDiscoveryRESTMapper(resources).RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"})
	if err := all(err, same("mapping", mapping.Resource, deployments), same("scope", string(mapping.Scope.Name()), "namespace")); err != nil {
		return err
	}
	version, err := client.ServerVersion()
	if err := all(err, same("minor", version.Minor, "36")); err != nil {
		return err
	}
	paths, err := client.OpenAPIV3().Paths()
	if err != nil {
		return err
	}
	for _, list := range lists {
		// Versions that are retired are for old manifests: nothing is listed in them.
		if isRetired(list) {
			continue
		}
		path := "apis/" + list.GroupVersion
		if !strings.Contains(list.GroupVersion, "/") {
			path = "api/" + list.GroupVersion
		}
		group, found := paths[path]
		if !found {
			return fmt.Errorf("no OpenAPI for %s", path)
		}
		document, err := group.Schema("application/json")
		if err := all(err, contains(path, string(document[:min(len(document), 40)]), `"openapi"`)); err != nil {
			return err
		}
	}
	document, err := client.OpenAPISchema()
	if err != nil {
		return err
	}
	if len(document.GetDefinitions().GetAdditionalProperties()) < 300 {
		return fmt.Errorf("OpenAPI v2 has too little: %d", len(document.GetDefinitions().GetAdditionalProperties()))
	}
	return nil
}

func described(lists []*metav1.APIResourceList) map[string]string {
	all := map[string]string{}
	for _, list := range lists {
		for _, r := range list.APIResources {
			// The new form has no singular names of subresources, the client makes them up.
			if strings.Contains(r.Name, "/") {
				r.SingularName = ""
			}
			all[list.GroupVersion+" "+r.Name] = fmt.Sprint(r.Kind, r.Namespaced, r.Verbs, r.ShortNames, r.Categories, r.SingularName)
		}
	}
	return all
}

func scaleClient(ctx context.Context, e *env) error {
	d := e.typedDeployment("web")
	d.Annotations = nil
	if _, err := e.client.AppsV1().Deployments(e.namespace).Create(ctx, d, metav1.CreateOptions{}); err != nil {
		return err
	}
	resources, err := restmapper.GetAPIGroupResources(e.client.Discovery())
	if err != nil {
		return err
	}
	client, err := scale.NewForConfig(e.config, restmapper.NewDiscoveryRESTMapper(resources), dynamic.LegacyAPIPathResolverFunc,
		scale.NewDiscoveryScaleKindResolver(e.client.Discovery()))
	if err != nil {
		return err
	}
	got, err := client.Scales(e.namespace).Get(ctx, deployments.GroupResource(), "web", metav1.GetOptions{})
	if err := all(err, same("replicas", got.Spec.Replicas, int32(0)), same("selector", got.Status.Selector, "app=web")); err != nil {
		return err
	}
	// The controller writes to it too.
	if err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if got, err = client.Scales(e.namespace).Get(ctx, deployments.GroupResource(), "web", metav1.GetOptions{}); err != nil {
			return err
		}
		got.Spec.Replicas = 2
		_, err = client.Scales(e.namespace).Update(ctx, deployments.GroupResource(), got, metav1.UpdateOptions{})
		return err
	}); err != nil {
		return err
	}
	typed, err := e.client.AppsV1().Deployments(e.namespace).GetScale(ctx, "web", metav1.GetOptions{})
	if err := all(err, same("scaled", typed.Spec, autoscalingv1.ScaleSpec{Replicas: 2})); err != nil {
		return err
	}
	return eventually(ctx, "pods", func(ctx context.Context) error {
		pods, err := e.client.CoreV1().Pods(e.namespace).List(ctx, metav1.ListOptions{LabelSelector: got.Status.Selector})
		return all(err, same("number", len(pods.Items), 2))
	})
}
