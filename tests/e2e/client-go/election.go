package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

type candidate struct {
	name    string
	cancel  context.CancelFunc
	leads   chan struct{} // Closed when it begins to lead.
	stopped chan struct{} // Closed when Run has returned.
}

func stand(ctx context.Context, e *env, name string, release bool) (*candidate, error) {
	client, err := e.binary() // As a controller does.
	if err != nil {
		return nil, err
	}
	c := &candidate{name: name, leads: make(chan struct{}), stopped: make(chan struct{})}
	ctx, c.cancel = context.WithCancel(ctx)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: "chair", Namespace: e.namespace},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name},
		},
		ReleaseOnCancel: release,
		LeaseDuration:   4 * time.Second,
		RenewDeadline:   3 * time.Second,
		RetryPeriod:     200 * time.Millisecond,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(c.leads) },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(c.stopped)
		elector.Run(ctx)
	}()
	return c, nil
}

func (c *candidate) mustLead() error {
	select {
	case <-c.leads:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s never leads", c.name)
	}
}

func holder(ctx context.Context, e *env, name string, transitions int32) error {
	return eventually(ctx, "holder", func(ctx context.Context) error {
		lease, err := e.client.CoordinationV1().Leases(e.namespace).Get(ctx, "chair", metav1.GetOptions{})
		if err != nil {
			return err
		}
		spec := lease.Spec
		if spec.HolderIdentity == nil || spec.LeaseTransitions == nil || spec.RenewTime == nil {
			return fmt.Errorf("incomplete: %v", spec)
		}
		return all(same("holder", *spec.HolderIdentity, name), same("transitions", *spec.LeaseTransitions, transitions))
	})
}

// The second takes over at once when the first lets go.
func election(ctx context.Context, e *env) error {
	first, err := stand(ctx, e, "first", true)
	if err != nil {
		return err
	}
	defer first.cancel()
	if err := all(first.mustLead(), holder(ctx, e, "first", 0)); err != nil {
		return err
	}
	second, err := stand(ctx, e, "second", true)
	if err != nil {
		return err
	}
	defer second.cancel()
	renewed := len(e.traffic.with("PUT", "/leases/chair", " 200 "))
	err = eventually(ctx, "renewals", func(context.Context) error {
		if now := len(e.traffic.with("PUT", "/leases/chair", " 200 ")); now < renewed+3 {
			return fmt.Errorf("only %d", now-renewed)
		}
		return nil
	})
	select {
	case <-second.leads:
		err = fmt.Errorf("two lead at once")
	default:
	}
	if err != nil {
		return err
	}
	first.cancel()
	<-first.stopped
	if err := all(second.mustLead(), holder(ctx, e, "second", 1)); err != nil {
		return err
	}
	second.cancel()
	<-second.stopped
	return nil
}

// A leader that vanishes is followed once its lease has run out.
func electionExpiry(ctx context.Context, e *env) error {
	first, err := stand(ctx, e, "first", false)
	if err != nil {
		return err
	}
	if err := first.mustLead(); err != nil {
		return err
	}
	first.cancel()
	<-first.stopped
	second, err := stand(ctx, e, "second", true)
	if err != nil {
		return err
	}
	defer func() { second.cancel(); <-second.stopped }()
	return all(second.mustLead(), holder(ctx, e, "second", 1))
}
