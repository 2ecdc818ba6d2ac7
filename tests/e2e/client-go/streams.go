package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	toolswatch "k8s.io/client-go/tools/watch"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

// runPod starts a pod of one container and waits, by watching, until it is Ready: when a port is
// given, until somebody listens there.
func (e *env) runPod(ctx context.Context, name, script string, ports ...int) error {
	now := int64(0)
	var listens *corev1.Probe
	for _, port := range ports {
		listens = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
			TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(port)}}}
	}
	if _, err := e.client.CoreV1().Pods(e.namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &now,
			Containers: []corev1.Container{{
				Name: "main", Image: e.image, Command: []string{"sh", "-c", script}, ReadinessProbe: listens,
			}},
		},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	chosen := fields.OneTermEqualSelector("metadata.name", name)
	pods := cache.NewListWatchFromClient(e.client.CoreV1().RESTClient(), "pods", e.namespace, chosen)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := toolswatch.UntilWithSync(ctx, pods, &corev1.Pod{}, nil, func(event watch.Event) (bool, error) {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			return false, nil
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
	return err
}

type makeExecutor func(config *rest.Config, url *url.URL) (remotecommand.Executor, error)

func execWebSocket(ctx context.Context, e *env) error {
	return execWith(ctx, e, func(config *rest.Config, url *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutor(config, "GET", url.String())
	})
}

func execSPDY(ctx context.Context, e *env) error {
	return execWith(ctx, e, func(config *rest.Config, url *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewSPDYExecutor(config, "POST", url)
	})
}

type oneSize struct {
	sizes chan remotecommand.TerminalSize
}

func (q oneSize) Next() *remotecommand.TerminalSize {
	size, open := <-q.sizes
	if !open {
		return nil
	}
	return &size
}

func execWith(ctx context.Context, e *env, executor makeExecutor) error {
	if err := e.runPod(ctx, "shell", "exec sleep 100000"); err != nil {
		return err
	}
	start := func(options corev1.PodExecOptions, streams remotecommand.StreamOptions) error {
		options.Container = "main"
		request := e.client.CoreV1().RESTClient().Post().Namespace(e.namespace).Resource("pods").Name("shell").
			SubResource("exec").VersionedParams(&options, scheme.ParameterCodec)
		run, err := executor(e.config, request.URL())
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return run.StreamWithContext(limited, streams)
	}
	var out, warn bytes.Buffer
	err := start(corev1.PodExecOptions{Command: []string{"sh", "-c", "echo out; echo warn >&2; exit 3"}, Stdout: true, Stderr: true},
		remotecommand.StreamOptions{Stdout: &out, Stderr: &warn})
	code, isCode := err.(exec.CodeExitError)
	if !isCode || code.Code != 3 {
		return fmt.Errorf("not exit code 3: %v", err)
	}
	if err := all(same("stdout", out.String(), "out\n"), same("stderr", warn.String(), "warn\n")); err != nil {
		return err
	}
	out.Reset()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB, there and back.
	err = start(corev1.PodExecOptions{Command: []string{"cat"}, Stdin: true, Stdout: true},
		remotecommand.StreamOptions{Stdin: bytes.NewReader(sent), Stdout: &out})
	if err != nil {
		return fmt.Errorf("cat: %w", err)
	}
	if !bytes.Equal(out.Bytes(), sent) {
		return fmt.Errorf("of %d bytes %d came back, or others", len(sent), out.Len())
	}
	if err := execTerminal(start); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	err = start(corev1.PodExecOptions{Command: []string{"no-such-program"}, Stdout: true, Stderr: true},
		remotecommand.StreamOptions{Stdout: io.Discard, Stderr: io.Discard})
	if err == nil {
		return fmt.Errorf("a program that is not there: no error")
	}
	return nil
}

// A terminal of one size and then another; typed to once it prompts.
func execTerminal(start func(corev1.PodExecOptions, remotecommand.StreamOptions) error) error {
	queue := oneSize{make(chan remotecommand.TerminalSize, 2)}
	queue.sizes <- remotecommand.TerminalSize{Width: 99, Height: 33}
	typed, keys := io.Pipe()
	screen, shown := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := start(corev1.PodExecOptions{Command: []string{"sh"}, Stdin: true, Stdout: true, TTY: true},
			remotecommand.StreamOptions{Stdin: typed, Stdout: shown, Tty: true, TerminalSizeQueue: queue})
		shown.Close()
		done <- err
	}()
	reader := bufio.NewReader(screen)
	until := func(mark string) error {
		var seen strings.Builder
		for !strings.HasSuffix(seen.String(), mark) {
			b, err := reader.ReadByte()
			if err != nil {
				return fmt.Errorf("no %q, only %q", mark, seen.String())
			}
			seen.WriteByte(b)
		}
		return nil
	}
	if err := until("# "); err != nil {
		return err
	}
	fmt.Fprintln(keys, "until stty size | grep '33 99'; do sleep 0.1; done")
	if err := until("\n33 99\r\n"); err != nil {
		return err
	}
	queue.sizes <- remotecommand.TerminalSize{Width: 50, Height: 20}
	fmt.Fprintln(keys, "until stty size | grep '20 50'; do sleep 0.1; done; exit 4")
	if err := until("\n20 50\r\n"); err != nil {
		return err
	}
	go io.Copy(io.Discard, reader)
	err := <-done
	keys.Close()
	close(queue.sizes)
	if code, isCode := err.(exec.CodeExitError); !isCode || code.Code != 4 {
		return fmt.Errorf("not exit code 4: %v", err)
	}
	return nil
}

// portForward tunnels over SPDY and over SPDY in a WebSocket, several connections at a time.
func portForward(ctx context.Context, e *env) error {
	script := "mkdir /tmp/www; head -c 500000 /dev/zero > /tmp/www/zero; hostname > /tmp/www/index.html; exec httpd -f -p 80 -h /tmp/www"
	if err := e.runPod(ctx, "web", script, 80); err != nil {
		return err
	}
	target := e.client.CoreV1().RESTClient().Post().Namespace(e.namespace).Resource("pods").Name("web").SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(e.config)
	if err != nil {
		return err
	}
	if err := forwardThrough(func(stop, ready chan struct{}) (*portforward.PortForwarder, error) {
		dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", target)
		return portforward.New(dialer, []string{"0:80"}, stop, ready, io.Discard, io.Discard)
	}); err != nil {
		return fmt.Errorf("SPDY: %w", err)
	}
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(target, e.config)
	if err != nil {
		return err
	}
	if err := forwardThrough(func(stop, ready chan struct{}) (*portforward.PortForwarder, error) {
		return portforward.New(tunnel, []string{"0:80"}, stop, ready, io.Discard, io.Discard)
	}); err != nil {
		return fmt.Errorf("WebSocket: %w", err)
	}
	return nil
}

func forwardThrough(make_ func(stop, ready chan struct{}) (*portforward.PortForwarder, error)) error {
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := make_(stop, ready)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-done:
		return err
	case <-time.After(patience):
		return fmt.Errorf("never ready")
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return err
	}
	base := fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local)
	page, err := fetch(base)
	if err := all(err, same("page", page, "web\n")); err != nil {
		return err
	}
	results := make(chan error, 8)
	for range cap(results) {
		go func() {
			zeros, err := fetch(base + "zero")
			results <- all(err, same("bytes", len(zeros), 500000))
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			return err
		}
	}
	close(stop)
	return <-done
}

func fetch(url string) (string, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func logs(ctx context.Context, e *env) error {
	// It goes on when told to, so that what follows was not there at the first look.
	script := "echo one; until [ -e /tmp/go ]; do sleep 0.1; done; echo two; echo three; exec sleep 100000"
	if err := e.runPod(ctx, "talk", script); err != nil {
		return err
	}
	pods := e.client.CoreV1().Pods(e.namespace)
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := pods.GetLogs("talk", &corev1.PodLogOptions{Follow: true}).Stream(limited)
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	if !lines.Scan() || lines.Text() != "one" {
		return fmt.Errorf("first line %q: %v", lines.Text(), lines.Err())
	}
	request := e.client.CoreV1().RESTClient().Post().Namespace(e.namespace).Resource("pods").Name("talk").SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: []string{"touch", "/tmp/go"}, Stdout: true}, scheme.ParameterCodec)
	run, err := remotecommand.NewWebSocketExecutor(e.config, "GET", request.URL().String())
	if err != nil {
		return err
	}
	if err := run.StreamWithContext(limited, remotecommand.StreamOptions{Stdout: io.Discard}); err != nil {
		return err
	}
	for _, wanted := range []string{"two", "three"} {
		if !lines.Scan() || lines.Text() != wanted {
			return fmt.Errorf("wanted %q, got %q: %v", wanted, lines.Text(), lines.Err())
		}
	}
	one := int64(1)
	last, err := pods.GetLogs("talk", &corev1.PodLogOptions{TailLines: &one, Timestamps: true}).DoRaw(ctx)
	if err != nil {
		return err
	}
	stamp, rest, _ := strings.Cut(strings.TrimSpace(string(last)), " ")
	_, err = time.Parse(time.RFC3339Nano, stamp)
	return all(err, same("last line", rest, "three"))
}
