// ZkLoad: a closed-loop load generator for ZooKeeper on its asynchronous client API.
// It measures as loop.go does: N operations in flight, a warm-up
// that does not count, exact percentiles, CPU of the servers, one JSON line per result.
import java.io.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import org.apache.zookeeper.*;
import org.apache.zookeeper.data.Stat;

public class ZkLoad {
    static Map<String, String> flags = new HashMap<>();
    static String flag(String k, String d) { return flags.getOrDefault(k, d); }
    static int num(String k, int d) { return Integer.parseInt(flag(k, "" + d)); }
    static String[] eps;
    static String[] pids;
    static final List<org.apache.zookeeper.data.ACL> OPEN = ZooDefs.Ids.OPEN_ACL_UNSAFE;

    static class Lat { // one writer each
        int[] v = new int[1 << 14]; int n;
        void add(long us) { if (n == v.length) v = Arrays.copyOf(v, n * 2); v[n++] = (int) us; }
    }
    static double r(double d, int p) { double m = Math.pow(10, p); return Math.round(d * m) / m; }
    static double pct(int[] s, double p) { return s.length == 0 ? -1 : s[Math.min(s.length - 1, (int) (p * s.length))] / 1000.0; }
    static int latencies(StringBuilder b, Collection<Lat> ls) {
        int n = 0; for (Lat l : ls) n += l.n;
        int[] a = new int[n]; int o = 0;
        for (Lat l : ls) { System.arraycopy(l.v, 0, a, o, l.n); o += l.n; }
        Arrays.sort(a);
        b.append(String.format(Locale.ROOT, ",\"p50_ms\":%s,\"p99_ms\":%s,\"p999_ms\":%s,\"max_ms\":%s", pct(a, .5), pct(a, .99), pct(a, .999), pct(a, 1)));
        return n;
    }
    static double cpu(String... ps) {
        double t = 0;
        for (String p : ps) if (!p.isEmpty()) try {
            String s = Files.readString(Path.of("/proc/" + p + "/stat"));
            String[] f = s.substring(s.lastIndexOf(')') + 2).split(" ");
            t += (Long.parseLong(f[11]) + Long.parseLong(f[12])) / 100.0;
        } catch (IOException e) { }
        return t;
    }
    static double[] busy() throws IOException { // CPU time of the whole machine, and stolen
        String[] f = Files.readAllLines(Path.of("/proc/stat")).get(0).trim().split(" +");
        double b = 0; for (int i : new int[] {1, 2, 3, 6, 7}) b += Long.parseLong(f[i]) / 100.0;
        return new double[] {b, Long.parseLong(f[8]) / 100.0};
    }
    static String self() { return "" + ProcessHandle.current().pid(); }

    static ZooKeeper connect(String to, int sessionMs) throws Exception {
        CountDownLatch up = new CountDownLatch(1);
        ZooKeeper z = new ZooKeeper(to, sessionMs, e -> { if (e.getState() == Watcher.Event.KeeperState.SyncConnected) up.countDown(); });
        if (!up.await(20, TimeUnit.SECONDS)) throw new Exception("no connection to " + to);
        return z;
    }
    static String srvr(String ep) {
        String[] hp = ep.split(":");
        try (java.net.Socket s = new java.net.Socket()) {
            s.connect(new java.net.InetSocketAddress(hp[0], Integer.parseInt(hp[1])), 500);
            s.setSoTimeout(1000);
            s.getOutputStream().write("srvr".getBytes()); s.getOutputStream().flush();
            return new String(s.getInputStream().readAllBytes());
        } catch (IOException e) { return ""; }
    }
    static int leader() throws Exception {
        for (int t = 0; t < 200; t++) {
            for (int i = 0; i < eps.length; i++) if (srvr(eps[i]).contains("Mode: leader")) return i;
            Thread.sleep(50);
        }
        throw new Exception("no leader");
    }
    static ZooKeeper[] pool(int n) throws Exception {
        List<String> use = new ArrayList<>();
        String target = flag("target", "leader");
        int li = target.equals("all") ? -1 : leader();
        for (int i = 0; i < eps.length; i++) if (target.equals("all") || target.equals("leader") == (i == li)) use.add(eps[i]);
        ZooKeeper[] z = new ZooKeeper[n];
        for (int i = 0; i < n; i++) z[i] = connect(use.get(i % use.size()), 30000);
        return z;
    }
    static byte[] value() { byte[] b = new byte[num("val", 256)]; new Random().nextBytes(b); return b; }
    static String key(long i) { return String.format("/bench/%08d", i % num("keys", 10000)); }

    interface Op { void start(int w, long seq, IntConsumerX done); }
    interface IntConsumerX { void done(int rc); }

    // n slots, each with one operation in flight; a slot starts its next from the callback.
    static void closedLoop(int n, double warm, double secs, Op op) throws Exception {
        long begin = System.nanoTime(), from = begin + (long) (warm * 1e9), to = from + (long) (secs * 1e9);
        AtomicLong seq = new AtomicLong(), errs = new AtomicLong(); AtomicInteger firstErr = new AtomicInteger();
        Lat[] lat = new Lat[n]; CountDownLatch all = new CountDownLatch(n);
        for (int w = 0; w < n; w++) { lat[w] = new Lat(); step(w, seq, errs, firstErr, lat, from, to, all, op); }
        sleepUntil(from); double s0 = cpu(pids), c0 = cpu(self()); double[] b0 = busy();
        sleepUntil(to); double s1 = cpu(pids), c1 = cpu(self()); double[] b1 = busy();
        all.await(20, TimeUnit.SECONDS);
        StringBuilder b = new StringBuilder("{\"name\":\"" + flag("name", "") + "\",\"clients\":" + n + ",\"secs\":" + secs);
        int ops = latencies(b, Arrays.asList(lat));
        b.append(String.format(Locale.ROOT, ",\"ops_s\":%s,\"errors\":%d", r(ops / secs, 1), errs.get()));
        if (firstErr.get() != 0) b.append(",\"first_error\":\"" + KeeperException.Code.get(firstErr.get()) + "\"");
        b.append(String.format(Locale.ROOT, ",\"server_cores\":%s,\"client_cores\":%s", r((s1 - s0) / secs, 2), r((c1 - c0) / secs, 2)));
        b.append(String.format(Locale.ROOT, ",\"other_cores\":%s,\"steal_cores\":%s", r((b1[0] - b0[0] - (s1 - s0) - (c1 - c0)) / secs, 2), r((b1[1] - b0[1]) / secs, 2)));
        if (ops > 0) b.append(String.format(Locale.ROOT, ",\"server_cpu_us_op\":%s,\"client_cpu_us_op\":%s", r((s1 - s0) * 1e6 / ops, 1), r((c1 - c0) * 1e6 / ops, 1)));
        System.out.println(b.append("}"));
    }
    static void step(int w, AtomicLong seq, AtomicLong errs, AtomicInteger firstErr, Lat[] lat, long from, long to, CountDownLatch all, Op op) {
        long t0 = System.nanoTime();
        if (t0 >= to) { all.countDown(); return; }
        op.start(w, seq.incrementAndGet(), rc -> {
            long t1 = System.nanoTime();
            if (t1 >= from && t1 < to) { if (rc == 0) lat[w].add((t1 - t0) / 1000); else { errs.incrementAndGet(); firstErr.compareAndSet(0, rc); } }
            step(w, seq, errs, firstErr, lat, from, to, all, op);
        });
    }
    static void sleepUntil(long ns) throws InterruptedException { long d = ns - System.nanoTime(); if (d > 0) Thread.sleep(d / 1000000, (int) (d % 1000000)); }

    static void preload(ZooKeeper z) throws Exception {
        byte[] v = value(); int n = num("keys", 10000);
        try { z.create("/bench", v, OPEN, CreateMode.PERSISTENT); } catch (KeeperException.NodeExistsException e) { }
        Semaphore inflight = new Semaphore(256); AtomicInteger bad = new AtomicInteger();
        for (int i = 0; i < n; i++) {
            inflight.acquire();
            z.create(key(i), v, OPEN, CreateMode.PERSISTENT, (rc, p, c, nm) -> { if (rc != 0 && rc != KeeperException.Code.NODEEXISTS.intValue()) bad.incrementAndGet(); inflight.release(); }, null);
        }
        inflight.acquire(256);
        if (bad.get() > 0) throw new Exception(bad + " keys not created");
    }

    public static void main(String[] a) throws Exception {
        for (int i = 1; i + 1 < a.length; i += 2) flags.put(a[i].substring(1), a[i + 1]);
        eps = flag("endpoints", "127.0.0.1:2181").split(",");
        pids = flag("pids", "").split(",");
        int n = num("clients", 1), nc = num("conns", Math.min(n, 16));
        double warm = Double.parseDouble(flag("warm", "1")), secs = Double.parseDouble(flag("d", "10"));
        switch (a[0]) {
            case "preload": preload(connect(String.join(",", eps), 30000)); break;
            case "leader": System.out.println(leader()); break;
            case "put": { ZooKeeper[] z = pool(nc); byte[] v = value();
                closedLoop(n, warm, secs, (w, s, d) -> z[w % nc].setData(key(s), v, -1, (rc, p, c, st) -> d.done(rc), null)); break; }
            case "get": { ZooKeeper[] z = pool(nc); String k = key(7); boolean sync = flag("sync", "0").equals("1");
                // sync and getData go out together: a session's requests are served in order.
                closedLoop(n, warm, secs, (w, s, d) -> {
                    ZooKeeper q = z[w % nc];
                    if (sync) q.sync(k, (rc, p, c) -> { }, null);
                    q.getData(k, false, (AsyncCallback.DataCallback) (rc, p, c, data, st) -> d.done(rc), null);
                }); break; }
            case "wait": { long end = System.nanoTime() + 40_000_000_000L;
                for (String e : eps) while (!srvr(e).contains("Mode: ")) { if (System.nanoTime() > end) throw new Exception(e + " not serving"); Thread.sleep(20); }
                break; }
            case "first": first(); break;
            case "failover": failover(n); break;
            default: throw new Exception("unknown " + a[0]);
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    static void first() throws Exception {
        long t0 = Long.parseLong(flag("t0", "0"));
        // The stock client waits up to 1 s at random between connection attempts, so it is
        // started when some node serves.
        while (true) {
            boolean up = false;
            for (String e : eps) up |= srvr(e).contains("Mode: ");
            if (up) break;
            if (System.currentTimeMillis() - t0 / 1000000 > 60000) throw new Exception("nothing serves");
            Thread.sleep(5);
        }
        while (true) try {
            String use = eps[leader()];
            ZooKeeper z = connect(use, 30000);
            z.create("/first" + System.nanoTime(), value(), OPEN, CreateMode.PERSISTENT);
            break;
        } catch (KeeperException e) { Thread.sleep(5); }
        java.time.Instant i = java.time.Instant.now();
        System.out.println("{\"name\":\"cold_start\",\"ms\":" + r((i.getEpochSecond() * 1e9 + i.getNano() - t0) / 1e6, 1) + "}");
    }

    // n clients, each its own session that knows all nodes, each with one write in flight.
    static void failover(int n) throws Exception {
        ZooKeeper[] z = new ZooKeeper[n];
        for (int i = 0; i < n; i++) z[i] = connect(String.join(",", eps), 30000);
        int li = leader(); long pid = Long.parseLong(pids[li]);
        byte[] v = value(); List<List<Long>> ok = new ArrayList<>();
        AtomicLong errs = new AtomicLong(), kill = new AtomicLong(), after = new AtomicLong(); AtomicBoolean stop = new AtomicBoolean();
        Thread[] ts = new Thread[n];
        for (int w = 0; w < n; w++) {
            List<Long> mine = new ArrayList<>(); ok.add(mine); final int me = w;
            ts[w] = new Thread(() -> {
                boolean counted = false; int i = 0;
                while (!stop.get()) {
                    long t0 = System.nanoTime();
                    try { z[me].setData(key(me * 500L + i++ % 500), v, -1); }
                    catch (Exception e) { errs.incrementAndGet(); try { Thread.sleep(5); } catch (InterruptedException x) { return; } continue; }
                    mine.add(System.nanoTime());
                    long k = kill.get();
                    if (!counted && k != 0 && t0 > k + 20_000_000) { counted = true; after.incrementAndGet(); }
                }
            });
            ts[w].start();
        }
        Thread.sleep(2000);
        long k = System.nanoTime();
        new ProcessBuilder("kill", "-9", "" + pid).start().waitFor();
        kill.set(k);
        long end = k + 15_000_000_000L;
        while (System.nanoTime() < end && after.get() < n) Thread.sleep(10);
        Thread.sleep(500); stop.set(true);
        for (Thread t : ts) t.join(5000);
        List<Long> all = new ArrayList<>(); long worst = 0, stopped = System.nanoTime();
        int acked = 0;
        for (List<Long> l : ok) { acked += l.size(); l.add(stopped); worst = Math.max(worst, maxGap(l, k)[0]); all.addAll(l); }
        Collections.sort(all); long[] g = maxGap(all, k);
        System.out.println(String.format(Locale.ROOT, "{\"name\":\"failover\",\"clients\":%d,\"writes_ok\":%d,\"errors\":%d,\"gap_ms\":%s,\"gap_from_kill_ms\":%s,\"worst_client_gap_ms\":%s,\"clients_recovered\":%d}",
            n, acked, errs.get(), r(g[0] / 1e6, 1), r((g[1] - k) / 1e6, 1), r(worst / 1e6, 1), after.get()));
    }
    static long[] maxGap(List<Long> t, long kill) {
        long gap = 0, from = 0;
        for (int i = 1; i < t.size(); i++) if (t.get(i) > kill && t.get(i) - t.get(i - 1) > gap) { gap = t.get(i) - t.get(i - 1); from = t.get(i - 1); }
        return new long[] {gap, from};
    }
}
