// What the load generator measures, whatever it loads: a closed loop with a warm-up, exact percentiles, the CPU time of
// the server processes, and one JSON line a result. cluster/bench/setup builds it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func die(format string, a ...interface{}) {
	fmt.Fprintf(os.Stderr, format+"\n", a...)
	os.Exit(1)
}

func emit(m map[string]interface{}) {
	b, err := json.Marshal(m)
	if err != nil {
		die("json: %v", err)
	}
	fmt.Println(string(b))
}

func round(f float64, digits int) float64 {
	s := strconv.FormatFloat(f, 'f', digits, 64)
	v, _ := strconv.ParseFloat(s, 64)
	return v
}

// pct returns the p-th percentile (0..1) of sorted microsecond samples, in ms.
func pct(s []uint32, p float64) float64 {
	if len(s) == 0 {
		return -1
	}
	i := int(p * float64(len(s)))
	if i >= len(s) {
		i = len(s) - 1
	}
	return round(float64(s[i])/1000, 3)
}

func latencies(m map[string]interface{}, prefix string, all [][]uint32) int {
	n := 0
	for _, l := range all {
		n += len(l)
	}
	s := make([]uint32, 0, n)
	for _, l := range all {
		s = append(s, l...)
	}
	sort.Slice(s, func(i, j int) bool { return s[i] < s[j] })
	m[prefix+"p50_ms"] = pct(s, 0.50)
	m[prefix+"p99_ms"] = pct(s, 0.99)
	m[prefix+"p999_ms"] = pct(s, 0.999)
	m[prefix+"max_ms"] = pct(s, 1)
	return n
}

// cpuSeconds sums user+system time of the given processes (USER_HZ is 100 on Linux).
func cpuSeconds(pids []int) float64 {
	t := 0.0
	for _, p := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		s := string(b)
		f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
		u, _ := strconv.ParseFloat(f[11], 64)
		k, _ := strconv.ParseFloat(f[12], 64)
		t += (u + k) / 100
	}
	return t
}

// busySeconds is the CPU time all processes of the machine used, and the time stolen by
// the hypervisor: what is not ours is a measure of how disturbed a run was.
func busySeconds() (busy, steal float64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return
	}
	f := strings.Fields(strings.SplitN(string(b), "\n", 2)[0])
	for _, i := range []int{1, 2, 3, 6, 7} { // user nice system irq softirq
		v, _ := strconv.ParseFloat(f[i], 64)
		busy += v / 100
	}
	steal, _ = strconv.ParseFloat(f[8], 64)
	return busy, steal / 100
}

func selfCPU() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
}

func parsePids(s string) []int {
	var out []int
	for _, f := range strings.Split(s, ",") {
		if f == "" {
			continue
		}
		p, err := strconv.Atoi(f)
		if err != nil {
			die("bad pid %q", f)
		}
		out = append(out, p)
	}
	return out
}

// closedLoop runs n workers, each with one operation in flight, for warm+dur; only
// operations that complete inside the dur window count.
func closedLoop(name string, n int, warm, dur time.Duration, pids []int, op func(w int, seq uint64) error) {
	var seq, errs uint64
	var firstErr atomic.Value
	lat := make([][]uint32, n)
	begin := time.Now()
	from, to := begin.Add(warm), begin.Add(warm+dur)
	var wg sync.WaitGroup
	for w := 0; w < n; w++ {
		wg.Add(1)
		go func(w int) {
			defer wg.Done()
			l := make([]uint32, 0, 1<<14)
			for {
				t0 := time.Now()
				if !t0.Before(to) {
					break
				}
				err := op(w, atomic.AddUint64(&seq, 1))
				t1 := time.Now()
				if t1.Before(from) || !t1.Before(to) {
					continue
				}
				if err != nil {
					atomic.AddUint64(&errs, 1)
					firstErr.CompareAndSwap(nil, err.Error())
					time.Sleep(time.Millisecond)
					continue
				}
				l = append(l, uint32(t1.Sub(t0)/time.Microsecond))
			}
			lat[w] = l
		}(w)
	}
	time.Sleep(time.Until(from))
	s0, c0 := cpuSeconds(pids), selfCPU()
	b0, st0 := busySeconds()
	time.Sleep(time.Until(to))
	s1, c1 := cpuSeconds(pids), selfCPU()
	b1, st1 := busySeconds()
	wg.Wait()
	m := map[string]interface{}{"name": name, "clients": n, "secs": dur.Seconds()}
	ops := latencies(m, "", lat)
	m["ops_s"] = round(float64(ops)/dur.Seconds(), 1)
	m["errors"] = errs
	if e := firstErr.Load(); e != nil {
		m["first_error"] = e
	}
	m["server_cores"] = round((s1-s0)/dur.Seconds(), 2)
	m["client_cores"] = round((c1-c0)/dur.Seconds(), 2)
	m["other_cores"] = round((b1-b0-(s1-s0)-(c1-c0))/dur.Seconds(), 2)
	m["steal_cores"] = round((st1-st0)/dur.Seconds(), 2)
	if ops > 0 {
		m["server_cpu_us_op"] = round((s1-s0)*1e6/float64(ops), 1)
		m["client_cpu_us_op"] = round((c1-c0)*1e6/float64(ops), 1)
	}
	emit(m)
}

// failover runs n writers, kills one process after `before`, and reports the longest
// time in which no writer at all had a write acknowledged.
func failover(n int, before, limit time.Duration, pid int, put func(w int) error) {
	type rec struct{ t []time.Duration }
	recs := make([]rec, n)
	var errs, stop, afterOK uint64
	begin := time.Now()
	var killNs int64
	var wg sync.WaitGroup
	for w := 0; w < n; w++ {
		wg.Add(1)
		go func(w int) {
			defer wg.Done()
			counted := false
			for atomic.LoadUint64(&stop) == 0 {
				t0 := time.Since(begin)
				if err := put(w); err != nil {
					atomic.AddUint64(&errs, 1)
					time.Sleep(5 * time.Millisecond)
					continue
				}
				recs[w].t = append(recs[w].t, time.Since(begin))
				if k := atomic.LoadInt64(&killNs); !counted && k != 0 && int64(t0) > k+int64(20*time.Millisecond) {
					counted = true
					atomic.AddUint64(&afterOK, 1)
				}
			}
		}(w)
	}
	time.Sleep(before)
	kill := time.Since(begin)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		die("kill %d: %v", pid, err)
	}
	atomic.StoreInt64(&killNs, int64(kill))
	end := time.Now().Add(limit)
	for time.Now().Before(end) && atomic.LoadUint64(&afterOK) < uint64(n) {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond)
	atomic.StoreUint64(&stop, 1)
	wg.Wait()
	stopped := time.Since(begin)
	var all []time.Duration
	worst := time.Duration(0)
	total := 0
	for _, r := range recs {
		total += len(r.t)
		if g, _ := maxGap(r.t, kill, stopped); g > worst {
			worst = g
		}
		all = append(all, r.t...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	gap, from := maxGap(all, kill, stopped)
	emit(map[string]interface{}{
		"name": "failover", "clients": n, "writes_ok": total, "errors": errs,
		"gap_ms":              round(float64(gap)/1e6, 1),
		"gap_from_kill_ms":    round(float64(from-kill)/1e6, 1),
		"worst_client_gap_ms": round(float64(worst)/1e6, 1),
		"clients_recovered":   afterOK,
	})
}

// maxGap is the longest interval between two consecutive acknowledgements that ends
// after the kill. One still open at the end counts up to there (then clients_recovered
// is short, and the gap is a lower bound).
func maxGap(t []time.Duration, kill, end time.Duration) (gap, from time.Duration) {
	t = append(append([]time.Duration{}, t...), end)
	for i := 1; i < len(t); i++ {
		if t[i] > kill && t[i]-t[i-1] > gap {
			gap, from = t[i]-t[i-1], t[i-1]
		}
	}
	return
}

// msSince is the wall-clock time since t0 (Unix nanoseconds, from `date +%s%N`).
func msSince(t0 int64) float64 { return round(float64(time.Now().UnixNano()-t0)/1e6, 1) }
