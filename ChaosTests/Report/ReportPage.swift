import Foundation

/// A run as one page of HTML that needs nothing else: what struck, who led, how clients and nodes fared.
struct ReportPage {
    private let report: RunReport

    init(_ report: RunReport) { self.report = report }

    /// Where reports go: a folder that git ignores.
    static let folder = ScriptedCluster.repository.appendingPathComponent("ChaosTests/report")

    /// Writes the page, and a list of all pages that are there. Where the folder cannot be written to, the run counts all the
    /// same.
    @discardableResult
    func write(to folder: URL = ReportPage.folder) -> URL {
        let name = report.scenario.lowercased().map { $0.isLetter || $0.isNumber ? String($0) : "-" }.joined()
        let file = folder.appendingPathComponent("\(name)-\(report.network).html")
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try html.write(to: file, atomically: true, encoding: .utf8)
            try Self.index(of: folder).write(
                to: folder.appendingPathComponent("index.html"), atomically: true, encoding: .utf8)
        } catch {
            print("the report cannot be written: \(error)")
        }
        return file
    }

    private static func index(of folder: URL) throws -> String {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        let items = try names.filter { $0.hasSuffix(".html") && $0 != "index.html" }.map { name in
            let text = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            let title = text.firstMatch(of: /<title>([^<]*)<\/title>/).map { String($0.1) } ?? name
            return "<li><a href=\"\(name)\">\(title)</a></li>"
        }
        return """
            <!doctype html><html lang="en"><head><meta charset="utf-8"><title>Chaos runs</title>\(style)</head>
            <body><h1>Chaos runs</h1><ul>\(items.joined(separator: "\n"))</ul></body></html>
            """
    }

    private static let style = """
        <style>body{font-family:sans-serif;margin:1.5em;max-width:1150px}td,th{padding:2px 10px 2px 0;text-align:left;
        vertical-align:top;font-size:13px}td:nth-child(-n+2){white-space:nowrap}.bad{color:#b00}.good{color:#070}svg{width:100%}</style>
        """

    // MARK: The page

    var html: String {
        let verdict = report.findings.isEmpty ? "passed" : "FOUND SOMETHING"
        let title = Chart.escaped("\(report.scenario) (\(report.network)): \(verdict)")
        let findings = report.findings.map { "<li class=\"bad\">\(Chart.escaped($0))</li>" }.joined(separator: "\n")
        return """
            <!doctype html><html lang="en"><head><meta charset="utf-8"><title>\(title)</title>\(Self.style)</head>
            <body><h1 class="\(report.findings.isEmpty ? "good" : "bad")">\(title)</h1>
            <p>\(report.nodes) nodes over \(report.network), seed \(report.seed), \
            \(report.length / 1_000_000_000) s. \(report.timeline.writes) writes and \(report.timeline.reads) reads \
            answered, \(report.timeline.failed) failed without effect, \(report.timeline.unknown) of unknown outcome. \
            All nodes agreed after \(report.agreement) without load.</p>
            <ul>\(findings)</ul>
            \(chart)
            \(table)
            </body></html>
            """
    }

    private var table: String {
        let rows = report.faults.sorted { $0.began < $1.began }.map { fault in
            let cells = [
                seconds(fault.began), seconds(fault.ended - fault.began), fault.name,
                fault.writesUnavailable.map { "\($0.milliseconds) ms" } ?? "",
                fault.readsUnavailable.map { "\($0.milliseconds) ms" } ?? "", fault.evidence,
            ]
            return "<tr>" + cells.map { "<td>\(Chart.escaped($0))</td>" }.joined() + "</tr>"
        }
        return """
            <table><tr><th>at</th><th>lasted</th><th>fault</th><th>no write for</th><th>no read for</th>
            <th>how it is known</th></tr>\(rows.joined(separator: "\n"))</table>
            """
    }

    private func seconds(_ nanoseconds: UInt64) -> String {
        Chart.readable(Double(nanoseconds / 100_000_000) / 10) + " s"
    }

    private var chart: String {
        var chart = Chart(length: report.length)
        chart.bars("Faults", report.faults.map { ($0.began, $0.ended, $0.name, $0.evidence) })
        let top = chart.top
        chart.heading(
            "Nodes", legend: [("leads", "#2ca02c"), ("follows", "#c7dcef"), ("silent", "#bbb"), ("no process", "#333")])
        for id in 1...report.nodes { chart.pieces("node \(id)", pieces(id)) }
        let buckets = mergedBuckets()
        func points(_ value: (CallTimeline.Bucket) -> Double) -> [(at: UInt64, value: Double)] {
            buckets.map { ($0.at, value($0.bucket)) }
        }
        let perSecond = 1_000_000_000 / Double(bucketWidth)
        chart.lines(
            "Answered", unit: "a second",
            [
                ("writes", Chart.colour(0), points { Double($0.writes) * perSecond }),
                ("reads", Chart.colour(1), points { Double($0.reads) * perSecond }),
            ])
        chart.lines(
            "Not answered", unit: "a second", height: 40,
            [
                ("failed", "#ff7f0e", points { Double($0.failed) * perSecond }),
                ("unknown", "#d62728", points { Double($0.unknown) * perSecond }),
            ])
        chart.lines(
            "Latency of writes", unit: "ms",
            [("p99", Chart.colour(3), points(\.slowest99)), ("median", Chart.colour(0), points(\.median))])
        chart.lines(
            "Resident memory", unit: "MB", nodeLines { $0.process.map { Double($0.residentBytes) / 1_048_576 } })
        chart.lines("Open descriptors", unit: "", height: 50, nodeLines { $0.process.map { Double($0.descriptors) } })
        chart.lines("Files", unit: "", height: 50, nodeLines { Double($0.files) })
        return chart.finish(bands: report.faults.map { ($0.began, $0.ended) }, below: top)
    }

    // MARK: Series

    /// At most so many points for a line.
    private static let pointsMax = 900

    private var bucketWidth: UInt64 {
        let count = max(1, report.length / CallTimeline.width)
        return CallTimeline.width * max(1, (count + UInt64(Self.pointsMax) - 1) / UInt64(Self.pointsMax))
    }

    private func mergedBuckets() -> [(at: UInt64, bucket: CallTimeline.Bucket)] {
        let factor = bucketWidth / CallTimeline.width
        var merged: [UInt64: CallTimeline.Bucket] = [:]
        for (number, bucket) in report.timeline.buckets {
            merged[number / factor, default: CallTimeline.Bucket()].merge(bucket)
        }
        // What is missing is nothing, not what was before.
        let last = report.length / bucketWidth
        return (0...last).map { ($0 * bucketWidth, merged[$0] ?? CallTimeline.Bucket()) }
    }

    /// Every n-th sample, so that a long run stays readable.
    private var samples: [ClusterMonitor.Sample] {
        let step = max(1, report.samples.count / Self.pointsMax)
        return report.samples.enumerated().filter { $0.offset % step == 0 }.map(\.element)
    }

    private func nodeLines(
        _ value: (ClusterMonitor.NodeSample) -> Double?
    ) -> [(name: String, colour: String, points: [(at: UInt64, value: Double)])] {
        (1...report.nodes).map { id in
            let points = samples.compactMap { sample -> (at: UInt64, value: Double)? in
                sample.nodes.first { $0.id == id }.flatMap(value).map { (sample.at, $0) }
            }
            return ("node \(id)", Chart.colour(id - 1), points)
        }
    }

    /// What a node was, from sample to sample; equal ones are one piece.
    private func pieces(_ id: Int) -> [(from: UInt64, to: UInt64, colour: String, text: String)] {
        var pieces: [(from: UInt64, to: UInt64, colour: String, text: String)] = []
        for sample in report.samples {
            guard let node = sample.nodes.first(where: { $0.id == id }) else { continue }
            let (colour, text): (String, String)
            switch (node.role, node.process) {
            case (_, nil): (colour, text) = ("#333", "no process")
            case (nil, let process?): (colour, text) = ("#bbb", "silent, process state \(process.state)")
            case ("leader", _): (colour, text) = ("#2ca02c", "leads in term \(node.term)")
            case (let role?, _): (colour, text) = ("#c7dcef", "\(role) in term \(node.term)")
            }
            if let last = pieces.last, last.colour == colour, last.text == text {
                pieces[pieces.count - 1].to = sample.at
            } else {
                if !pieces.isEmpty { pieces[pieces.count - 1].to = sample.at }
                pieces.append((sample.at, sample.at, colour, text))
            }
        }
        return pieces
    }
}
