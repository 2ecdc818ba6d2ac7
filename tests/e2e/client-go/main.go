// Checks of the server by the official Go client. One check a run:
//
//	client-go KUBECONFIG NAMESPACE IMAGE CHECK
//	client-go list        the names of the checks
//
// Ends with code 0, or with 1 and what was wrong. IMAGE has a shell and the usual small programs.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Long, for a machine that does much else; nothing waits that long when all is well.
const patience = 60 * time.Second

const protobuf = "application/vnd.kubernetes.protobuf"

type env struct {
	config    *rest.Config
	client    kubernetes.Interface
	namespace string
	image     string
	traffic   *traffic
}

type check struct {
	name string
	run  func(ctx context.Context, e *env) error
}

var checks = []check{
	{"informer", informer},
	{"informer-protobuf", informerProtobuf},
	{"informer-many", informerMany},
	{"dynamic-informer", dynamicInformer},
	{"watch-resume", watchResume},
	{"protobuf", protobufBodies},
	{"election", election},
	{"election-expiry", electionExpiry},
	{"apply", apply},
	{"apply-lists", applyLists},
	{"dynamic", dynamicClient},
	{"metadata", metadataClient},
	{"discovery", discoveryClient},
	{"scale", scaleClient},
	{"exec-websocket", execWebSocket},
	{"exec-spdy", execSPDY},
	{"port-forward", portForward},
	{"logs", logs},
	{"pages", pages},
	{"conflicts", conflicts},
	{"preconditions", preconditions},
	{"events", recordEvents},
	{"token", serviceAccountToken},
	{"evict", evict},
}

// traffic notes what went over the wire: "GET /path?query STATUS CONTENT-TYPE".
type traffic struct {
	mutex sync.Mutex
	seen  []string
}

type noting struct {
	next http.RoundTripper
	*traffic
}

func (t noting) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	line := request.Method + " " + request.URL.RequestURI()
	if err == nil {
		line += fmt.Sprint(" ", response.StatusCode, " ", response.Header.Get("Content-Type"))
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.seen = append(t.seen, line)
	return response, err
}

// with returns the requests whose line has all the words.
func (t *traffic) with(words ...string) []string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	var found []string
next:
	for _, line := range t.seen {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

func newEnv(kubeconfig, namespace, image string) (*env, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	e := &env{config: config, namespace: namespace, image: image, traffic: &traffic{}}
	config.QPS, config.Burst = 200, 400
	config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return noting{next, e.traffic} })
	e.client, err = kubernetes.NewForConfig(config)
	return e, err
}

// binary is a client of the same server that speaks protobuf.
func (e *env) binary() (kubernetes.Interface, error) {
	config := rest.CopyConfig(e.config)
	config.ContentType = protobuf
	config.AcceptContentTypes = protobuf
	return kubernetes.NewForConfig(config)
}

// eventually calls the condition until it holds; what it said last is the error when it never does.
func eventually(ctx context.Context, what string, condition func(ctx context.Context) error) error {
	last := fmt.Errorf("not asked")
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = condition(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, last)
	}
	return nil
}

func same(what string, got, wanted any) error {
	if !equality.Semantic.DeepEqual(got, wanted) {
		return fmt.Errorf("%s: got %v, wanted %v", what, got, wanted)
	}
	return nil
}

func contains(what, text, part string) error {
	if !strings.Contains(text, part) {
		return fmt.Errorf("%s: %q is not in %q", what, part, text)
	}
	return nil
}

// all is the first error.
func all(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "list" {
		for _, c := range checks {
			fmt.Println(c.name)
		}
		return
	}
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: client-go KUBECONFIG NAMESPACE IMAGE CHECK")
		os.Exit(2)
	}
	e, err := newEnv(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	for _, c := range checks {
		if c.name != os.Args[4] {
			continue
		}
		if err := c.run(ctx, e); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\nrequests:\n%s\n", c.name, err, strings.Join(e.traffic.with(), "\n"))
			os.Exit(1)
		}
		return
	}
	fmt.Fprintf(os.Stderr, "there is no check %q\n", os.Args[4])
	os.Exit(2)
}
