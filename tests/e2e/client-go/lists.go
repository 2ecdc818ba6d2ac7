package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
)

// Pages are of one moment: what is made meanwhile is not in them, what goes meanwhile still is.
func pages(ctx context.Context, e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	for i := range 50 {
		if _, err := maps.Create(ctx, configMap(fmt.Sprintf("m%02d", i), strconv.Itoa(i)), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	options := metav1.ListOptions{Limit: 7, LabelSelector: "part=informers"}
	first, err := maps.List(ctx, options)
	if err := all(err, same("first page", len(first.Items), 7)); err != nil {
		return err
	}
	if first.RemainingItemCount != nil {
		return fmt.Errorf("a list with a selector says that %d remain", *first.RemainingItemCount)
	}
	if _, err := maps.Create(ctx, configMap("m99", "late"), metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := maps.Delete(ctx, "m40", metav1.DeleteOptions{}); err != nil {
		return err
	}
	names := map[string]bool{}
	page, rest := first, 0
	for {
		for _, item := range page.Items {
			names[item.Name] = true
		}
		if page.Continue == "" {
			break
		}
		options.Continue = page.Continue
		if page, err = maps.List(ctx, options); err != nil {
			return err
		}
		rest++
		if err := same("revision of the pages", page.ResourceVersion, first.ResourceVersion); err != nil {
			return err
		}
	}
	if err := all(same("names", len(names), 50), same("pages after the first", rest, 7),
		same("late", names["m99"], false), same("gone", names["m40"], true)); err != nil {
		return err
	}
	all_, err := maps.List(ctx, metav1.ListOptions{Limit: 10})
	if err != nil {
		return err
	}
	// The namespace's own kube-root-ca.crt is one more.
	if all_.RemainingItemCount == nil || *all_.RemainingItemCount != 41 {
		return fmt.Errorf("remaining: %v", all_.RemainingItemCount)
	}
	count := 0
	lister := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) { return maps.List(ctx, options) }))
	lister.PageSize = 9
	if err := lister.EachListItem(ctx, metav1.ListOptions{}, func(runtime.Object) error { count++; return nil }); err != nil {
		return err
	}
	_, err = maps.List(ctx, metav1.ListOptions{Limit: 7, Continue: "bm9uc2Vuc2U"})
	if !errors.IsBadRequest(err) {
		return fmt.Errorf("a continue token of nonsense: %v", err)
	}
	return same("paged over", count, 51)
}

// Eight writers add one each to a number, five times, and try again on a conflict.
func conflicts(ctx context.Context, e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	if _, err := maps.Create(ctx, configMap("sum", "0"), metav1.CreateOptions{}); err != nil {
		return err
	}
	backoff := retry.DefaultBackoff
	backoff.Steps, backoff.Duration, backoff.Factor = 200, time.Millisecond, 1.05
	var group sync.WaitGroup
	failures := make(chan error, 8)
	for range cap(failures) {
		group.Go(func() {
			for range 5 {
				if err := retry.RetryOnConflict(backoff, func() error {
					current, err := maps.Get(ctx, "sum", metav1.GetOptions{})
					if err != nil {
						return err
					}
					n, _ := strconv.Atoi(current.Data["value"])
					current.Data["value"] = strconv.Itoa(n + 1)
					_, err = maps.Update(ctx, current, metav1.UpdateOptions{})
					return err
				}); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-failures:
		return err
	default:
	}
	final, err := maps.Get(ctx, "sum", metav1.GetOptions{})
	if err := all(err, same("sum", final.Data["value"], "40")); err != nil {
		return err
	}
	if len(e.traffic.with("PUT", " 409 ")) == 0 {
		return fmt.Errorf("never a conflict")
	}
	return nil
}

func preconditions(ctx context.Context, e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	made, err := maps.Create(ctx, configMap("thing", "0"), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = maps.Create(ctx, configMap("thing", "0"), metav1.CreateOptions{})
	if !errors.IsAlreadyExists(err) {
		return fmt.Errorf("made twice: %v", err)
	}
	other := types.UID("00000000-0000-0000-0000-000000000000")
	err = maps.Delete(ctx, "thing", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}})
	if !errors.IsConflict(err) {
		return fmt.Errorf("another uid: %v", err)
	}
	changed := made.DeepCopy()
	changed.Data["value"] = "1"
	if _, err := maps.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
		return err
	}
	err = maps.Delete(ctx, "thing", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &made.ResourceVersion}})
	if !errors.IsConflict(err) {
		return fmt.Errorf("an old resourceVersion: %v", err)
	}
	_, err = maps.Patch(ctx, "thing", types.MergePatchType,
		[]byte(`{"metadata":{"resourceVersion":"`+made.ResourceVersion+`"},"data":{"value":"2"}}`), metav1.PatchOptions{})
	if !errors.IsConflict(err) {
		return fmt.Errorf("a patch of an old resourceVersion: %v", err)
	}
	dry, err := maps.Patch(ctx, "thing", types.MergePatchType, []byte(`{"data":{"value":"3"}}`), metav1.PatchOptions{DryRun: []string{"All"}})
	if err := all(err, same("dry", dry.Data["value"], "3")); err != nil {
		return err
	}
	current, err := maps.Get(ctx, "thing", metav1.GetOptions{})
	if err := all(err, same("after the dry run", current.Data["value"], "1")); err != nil {
		return err
	}
	return maps.Delete(ctx, "thing", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &made.UID}})
}

// The recorder of every controller: the same event again raises its count.
func recordEvents(ctx context.Context, e *env) error {
	thing, err := e.client.CoreV1().ConfigMaps(e.namespace).Create(ctx, configMap("thing", "0"), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: e.client.CoreV1().Events(e.namespace)})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "client-go"})
	for range 3 {
		recorder.Event(thing, corev1.EventTypeNormal, "Sailed", "the boat left")
	}
	return eventually(ctx, "the event", func(ctx context.Context) error {
		list, err := e.client.CoreV1().Events(e.namespace).List(ctx, metav1.ListOptions{
			FieldSelector: "involvedObject.name=thing,reason=Sailed,type=Normal"})
		if err := all(err, same("events", len(list.Items), 1)); err != nil {
			return err
		}
		event := list.Items[0]
		return all(same("count", event.Count, int32(3)), same("uid", event.InvolvedObject.UID, thing.UID),
			same("component", event.Source.Component, "client-go"))
	})
}

func serviceAccountToken(ctx context.Context, e *env) error {
	hour := int64(3600)
	request, err := e.client.CoreV1().ServiceAccounts(e.namespace).CreateToken(ctx, "default",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hour}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	name := "system:serviceaccount:" + e.namespace + ":default"
	config := rest.AnonymousClientConfig(e.config)
	config.BearerToken = request.Status.Token
	robot, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	me, err := robot.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err := all(err, same("name", me.Status.UserInfo.Username, name)); err != nil {
		return err
	}
	review, err := e.client.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: request.Status.Token}}, metav1.CreateOptions{})
	if err := all(err, same("reviewed", review.Status.Authenticated, true), same("reviewed name", review.Status.User.Username, name)); err != nil {
		return err
	}
	_, err = robot.CoreV1().Secrets(e.namespace).List(ctx, metav1.ListOptions{})
	if !errors.IsForbidden(err) {
		return fmt.Errorf("a robot may list secrets: %v", err)
	}
	return contains("error", err.Error(),
		`secrets is forbidden: User "`+name+`" cannot list resource "secrets" in API group "" in the namespace "`+e.namespace+`"`)
}

func evict(ctx context.Context, e *env) error {
	if err := e.runPod(ctx, "leaves", "exec sleep 100000"); err != nil {
		return err
	}
	err := e.client.PolicyV1().Evictions(e.namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "leaves", Namespace: e.namespace}})
	if err != nil {
		return err
	}
	return eventually(ctx, "the pod is gone", func(ctx context.Context) error {
		_, err := e.client.CoreV1().Pods(e.namespace).Get(ctx, "leaves", metav1.GetOptions{})
		if errors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %v", err)
	})
}
