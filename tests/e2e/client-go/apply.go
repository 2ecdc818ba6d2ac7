package main

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
)

func (e *env) deployment(name string) *appsapply.DeploymentApplyConfiguration {
	labels := map[string]string{"app": name}
	return appsapply.Deployment(name, e.namespace).WithLabels(labels).WithSpec(appsapply.DeploymentSpec().
		WithReplicas(0).
		WithSelector(metaapply.LabelSelector().WithMatchLabels(labels)).
		WithTemplate(coreapply.PodTemplateSpec().WithLabels(labels).WithSpec(coreapply.PodSpec().
			WithContainers(coreapply.Container().WithName("main").WithImage(e.image).
				WithPorts(coreapply.ContainerPort().WithName("web").WithContainerPort(80))))))
}

// apply goes through what two owners of one object do to each other.
func apply(ctx context.Context, e *env) error {
	deployments := e.client.AppsV1().Deployments(e.namespace)
	first := metav1.ApplyOptions{FieldManager: "first"}
	second := metav1.ApplyOptions{FieldManager: "second"}
	made, err := deployments.Apply(ctx, e.deployment("web").WithAnnotations(map[string]string{"note": "mine"}), first)
	if err != nil {
		return err
	}
	// Defaults belong to nobody.
	owned, err := appsapply.ExtractDeployment(made, "first")
	if err := all(err, same("owned replicas", *owned.Spec.Replicas, int32(0))); err != nil {
		return err
	}
	if owned.Spec.Strategy != nil || owned.Spec.Template.Spec.RestartPolicy != nil {
		return fmt.Errorf("owns a default: %v", made.ManagedFields)
	}
	again, err := deployments.Apply(ctx, e.deployment("web").WithAnnotations(map[string]string{"note": "mine"}), first)
	if err != nil {
		return err
	}
	if err := all(same("generation", again.Generation, int64(1)), onlyStatusMoved(made, again)); err != nil {
		return err
	}

	wish := e.deployment("web")
	wish.Spec.WithReplicas(2)
	wish.Spec.Template.Spec.Containers[0].WithImage("example.test/other:2")
	_, err = deployments.Apply(ctx, wish, second)
	if !errors.IsConflict(err) {
		return fmt.Errorf("not a conflict: %v", err)
	}
	causes := map[string]metav1.CauseType{}
	for _, cause := range err.(errors.APIStatus).Status().Details.Causes {
		causes[cause.Field] = cause.Type
	}
	if err := all(
		same("causes", causes, map[string]metav1.CauseType{
			".spec.replicas": metav1.CauseTypeFieldManagerConflict,
			`.spec.template.spec.containers[name="main"].image`: metav1.CauseTypeFieldManagerConflict,
		}),
		contains("error", err.Error(), `Apply failed with 2 conflicts: conflicts with "first":`)); err != nil {
		return err
	}
	second.Force = true
	forced, err := deployments.Apply(ctx, wish, second)
	if err := all(err, same("replicas", *forced.Spec.Replicas, int32(2)), same("generation", forced.Generation, int64(2))); err != nil {
		return err
	}
	lost, err := appsapply.ExtractDeployment(forced, "first")
	if err != nil {
		return err
	}
	if lost.Spec.Replicas != nil || lost.Spec.Template.Spec.Containers[0].Image != nil || lost.Annotations["note"] != "mine" {
		return fmt.Errorf("the first still owns what it lost: %v", forced.ManagedFields)
	}
	// What a manager no longer names goes, unless somebody else owns it too.
	gone, err := deployments.Apply(ctx, appsapply.Deployment("web", e.namespace), first)
	if err != nil {
		return err
	}
	if _, kept := gone.Annotations["note"]; kept || gone.Labels["app"] != "web" {
		return fmt.Errorf("after the first let go: %v %v", gone.Annotations, gone.Labels)
	}
	return applyStatus(ctx, e)
}

func onlyStatusMoved(before, after *appsv1.Deployment) error {
	if err := same("spec", after.Spec, before.Spec); err != nil {
		return err
	}
	return same("the manager's time", timeOf(after.ManagedFields, "first"), timeOf(before.ManagedFields, "first"))
}

func timeOf(entries []metav1.ManagedFieldsEntry, manager string) string {
	for _, entry := range entries {
		if entry.Manager == manager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Time != nil {
			return entry.Time.String()
		}
	}
	return "none"
}

func applyStatus(ctx context.Context, e *env) error {
	nodes := e.client.CoreV1().Nodes()
	name := "apply-" + e.namespace
	if _, err := nodes.Apply(ctx, coreapply.Node(name).WithSpec(coreapply.NodeSpec().WithUnschedulable(true)),
		metav1.ApplyOptions{FieldManager: "first"}); err != nil {
		return err
	}
	defer nodes.Delete(context.Background(), name, metav1.DeleteOptions{})
	node, err := nodes.ApplyStatus(ctx, coreapply.Node(name).WithStatus(coreapply.NodeStatus().WithConditions(
		coreapply.NodeCondition().WithType("Ahoy").WithStatus(corev1.ConditionTrue))), metav1.ApplyOptions{FieldManager: "status"})
	if err != nil {
		return err
	}
	for _, entry := range node.ManagedFields {
		if entry.Manager == "status" {
			return all(same("subresource", entry.Subresource, "status"),
				contains("fields", entry.FieldsV1.String(), `k:{\"type\":\"Ahoy\"}`))
		}
	}
	return fmt.Errorf("nobody owns the status: %v", node.ManagedFields)
}

// Lists that are maps by key merge, sets merge, atomic lists are one value.
func applyLists(ctx context.Context, e *env) error {
	services := e.client.CoreV1().Services(e.namespace)
	web := coreapply.ServicePort().WithName("web").WithPort(80)
	dns := coreapply.ServicePort().WithName("dns").WithPort(80).WithProtocol(corev1.ProtocolUDP)
	if _, err := services.Apply(ctx, coreapply.Service("many", e.namespace).WithFinalizers("example.test/a").
		WithSpec(coreapply.ServiceSpec().WithPorts(web)), metav1.ApplyOptions{FieldManager: "first"}); err != nil {
		return err
	}
	// The same port with another protocol is another item.
	service, err := services.Apply(ctx, coreapply.Service("many", e.namespace).WithFinalizers("example.test/b").
		WithSpec(coreapply.ServiceSpec().WithPorts(dns)), metav1.ApplyOptions{FieldManager: "second"})
	if err != nil {
		return err
	}
	var ports []string
	for _, port := range service.Spec.Ports {
		ports = append(ports, port.Name+"/"+string(port.Protocol))
	}
	if err := all(same("ports", strings.Join(ports, " "), "web/TCP dns/UDP"),
		same("finalizers", strings.Join(service.Finalizers, " "), "example.test/a example.test/b")); err != nil {
		return err
	}
	service, err = services.Apply(ctx, coreapply.Service("many", e.namespace).WithSpec(coreapply.ServiceSpec().WithPorts(
		coreapply.ServicePort().WithName("other").WithPort(81))), metav1.ApplyOptions{FieldManager: "first"})
	if err != nil {
		return err
	}
	ports = nil
	for _, port := range service.Spec.Ports {
		ports = append(ports, port.Name)
	}
	if err := same("finalizers", strings.Join(service.Finalizers, " "), "example.test/b"); err != nil {
		return err
	}
	if err := same("number of ports", len(ports), 2); err != nil {
		return err
	}
	if _, err = services.Apply(ctx, coreapply.Service("many", e.namespace), metav1.ApplyOptions{FieldManager: "second"}); err != nil {
		return err
	}
	return services.Delete(ctx, "many", metav1.DeleteOptions{})
}
