// Command gocaller follows a cluster with client-go's informers, as controllers do, and says what it saw.
//
// It prints `synced` when its caches are filled, and after the given time one line of JSON: how often each informer
// listed and watched, and how many events it got.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// counts is what is printed at the end.
type counts struct {
	Lists   atomic.Int64
	Watches atomic.Int64
	Errors  atomic.Int64
	Added   atomic.Int64
	Updated atomic.Int64
	Deleted atomic.Int64
}

// counting counts the requests that leave and those that fail.
type counting struct {
	next http.RoundTripper
	seen *counts
}

func (c counting) RoundTrip(request *http.Request) (*http.Response, error) {
	if strings.Contains(request.URL.RawQuery, "watch=true") {
		c.seen.Watches.Add(1)
	} else {
		c.seen.Lists.Add(1)
	}
	answer, err := c.next.RoundTrip(request)
	if err != nil || answer.StatusCode >= 400 {
		c.seen.Errors.Add(1)
	}
	return answer, err
}

func main() {
	if err := follow(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// follow runs informers of pods and config maps of a namespace with a kubeconfig's current context.
func follow(kubeconfig, context, duration string) error {
	length, err := time.ParseDuration(duration)
	if err != nil {
		return err
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: context}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return err
	}
	seen := &counts{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{next, seen} })
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { seen.Added.Add(1) },
		UpdateFunc: func(any, any) { seen.Updated.Add(1) },
		DeleteFunc: func(any) { seen.Deleted.Add(1) },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(),
		factory.Core().V1().ConfigMaps().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	stop := make(chan struct{})
	factory.Start(stop)
	for kind, synced := range factory.WaitForCacheSync(stop) {
		if !synced {
			return fmt.Errorf("%s was not listed", kind)
		}
	}
	fmt.Println("synced")
	time.Sleep(length)
	close(stop)
	return json.NewEncoder(os.Stdout).Encode(map[string]int64{
		"lists": seen.Lists.Load(), "watches": seen.Watches.Load(), "errors": seen.Errors.Load(),
		"added": seen.Added.Load(), "updated": seen.Updated.Load(), "deleted": seen.Deleted.Load(),
	})
}
