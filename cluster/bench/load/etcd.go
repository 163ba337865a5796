// etcdload: a closed-loop load generator for etcd on clientv3.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/clientv3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

var (
	fs        = flag.NewFlagSet("etcdload", flag.ExitOnError)
	endpoints = fs.String("endpoints", "127.0.0.1:2379", "comma-separated")
	clients   = fs.Int("clients", 1, "operations in flight")
	conns     = fs.Int("conns", 0, "connections; 0: one per client, at most 16")
	target    = fs.String("target", "leader", "leader|all|follower")
	warm      = fs.Duration("warm", time.Second, "")
	dur       = fs.Duration("d", 10*time.Second, "")
	valSize   = fs.Int("val", 256, "")
	keys      = fs.Int("keys", 10000, "")
	serial    = fs.Bool("serializable", false, "")
	pidsF     = fs.String("pids", "", "server pids, in the order of -endpoints")
	t0        = fs.Int64("t0", 0, "start, Unix ns")
	name      = fs.String("name", "", "")
)

func dial(eps []string) *clientv3.Client {
	c, err := clientv3.New(clientv3.Config{
		Endpoints: eps, DialTimeout: 5 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.2, MaxDelay: 50 * time.Millisecond},
			MinConnectTimeout: time.Second,
		})},
	})
	if err != nil {
		die("dial %v: %v", eps, err)
	}
	return c
}

// leaderIndex asks each endpoint; -1 if none knows.
func leaderIndex(eps []string) int {
	for try := 0; try < 100; try++ {
		for i, e := range eps {
			c := dial([]string{e})
			ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
			r, err := c.Status(ctx, e)
			cancel()
			c.Close()
			if err == nil && r.Leader != 0 && r.Leader == r.Header.MemberId {
				return i
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return -1
}

func pool(n int, eps []string) []*clientv3.Client {
	var use []string
	li := -1
	if *target != "all" {
		if li = leaderIndex(eps); li < 0 {
			die("no leader")
		}
	}
	for i, e := range eps {
		if *target == "all" || (*target == "leader") == (i == li) {
			use = append(use, e)
		}
	}
	out := make([]*clientv3.Client, n)
	for i := range out {
		out[i] = dial([]string{use[i%len(use)]})
	}
	return out
}

func key(i uint64) string { return fmt.Sprintf("bench/%08d", i%uint64(*keys)) }

func value(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return string(b)
}

func main() {
	if len(os.Args) < 2 {
		die("usage: etcdload put|get|leader|wait|failover|first [flags]")
	}
	fs.Parse(os.Args[2:])
	eps := strings.Split(*endpoints, ",")
	pids := parsePids(*pidsF)
	nc := *conns
	if nc == 0 {
		if nc = *clients; nc > 16 {
			nc = 16
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), *warm+*dur+20*time.Second)
	defer cancel()
	switch os.Args[1] {
	case "put":
		p := pool(nc, eps)
		v := value(*valSize)
		closedLoop(*name, *clients, *warm, *dur, pids, func(w int, s uint64) error {
			_, err := p[w%nc].Put(ctx, key(s), v)
			return err
		})
	case "get":
		p := pool(nc, eps)
		k := key(7)
		if _, err := p[0].Put(ctx, k, value(*valSize)); err != nil {
			die("put: %v", err)
		}
		var opts []clientv3.OpOption
		if *serial {
			opts = append(opts, clientv3.WithSerializable())
		}
		closedLoop(*name, *clients, *warm, *dur, pids, func(w int, s uint64) error {
			r, err := p[w%nc].Get(ctx, k, opts...)
			if err == nil && len(r.Kvs) != 1 {
				return fmt.Errorf("%d keys", len(r.Kvs))
			}
			return err
		})
	case "leader":
		fmt.Println(leaderIndex(eps))
	case "wait": // all members answer a linearizable read
		c, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		for _, e := range eps {
			cl := dial([]string{e})
			for {
				one, cc := context.WithTimeout(c, time.Second)
				_, err := cl.Get(one, "health")
				cc()
				if err == nil {
					break
				}
				if c.Err() != nil {
					die("%s not healthy: %v", e, err)
				}
				time.Sleep(20 * time.Millisecond)
			}
			cl.Close()
		}
	case "first":
		cl := dial(eps)
		for {
			one, cc := context.WithTimeout(context.Background(), 200*time.Millisecond)
			_, err := cl.Put(one, "first", "write")
			cc()
			if err == nil {
				break
			}
			if msSince(*t0) > 60000 {
				die("no write in 60 s: %v", err)
			}
			time.Sleep(2 * time.Millisecond)
		}
		emit(map[string]interface{}{"name": "cold_start", "ms": msSince(*t0)})
	case "failover":
		li := leaderIndex(eps)
		if li < 0 || li >= len(pids) {
			die("no leader")
		}
		p := make([]*clientv3.Client, *clients) // each client knows all members
		for i := range p {
			p[i] = dial(eps)
		}
		v := value(*valSize)
		n := make([]uint64, *clients)
		failover(*clients, 2*time.Second, 15*time.Second, pids[li], func(w int) error {
			n[w]++
			// A request in flight to a dead leader is never answered: give it up after
			// 150-300 ms (etcd's own limit is 7 s) and try again.
			one, cc := context.WithTimeout(ctx, time.Duration(150+rand.Intn(150))*time.Millisecond)
			defer cc()
			_, err := p[w].Put(one, key(uint64(w)*1000+n[w]%1000), v)
			return err
		})
		fmt.Fprintln(os.Stderr, "killed member "+strconv.Itoa(li))
	default:
		die("unknown command %s", os.Args[1])
	}
}
