"""The panels of the machines, by node exporter: of the one-machine stack, or of a cluster's nodes if they have one."""

from __future__ import annotations

from tools.dashboards.panels import RATE, Board, Panel, rate

MACHINE = Board(
    "shop-machine",
    "Shop: the machine",
    {
        "Processors and memory": [
            Panel(
                "Processors in use",
                rate("node_cpu_seconds_total", "instance, mode", 'mode!="idle"'),
                about="In processors: 2 is all of a machine that has two.",
            ),
            Panel("Load over a minute", {"{{instance}}": "node_load1"}),
            Panel(
                "Pressure",
                {
                    f"{{{{instance}}}} {what}": f"rate(node_pressure_{what}_waiting_seconds_total[{RATE}])"
                    for what in ("cpu", "memory", "io")
                },
                "percentunit",
                "The share of time in which some process waited for it.",
            ),
            Panel(
                "Memory",
                {
                    "{{instance}} available": "node_memory_MemAvailable_bytes",
                    "{{instance}} in all": "node_memory_MemTotal_bytes",
                },
                "bytes",
            ),
            Panel("Processes killed for memory", {"{{instance}}": "increase(node_vmstat_oom_kill[1h])"}),
        ],
        "Disks": [
            Panel(
                "Free",
                {"{{instance}} {{mountpoint}}": "node_filesystem_avail_bytes / node_filesystem_size_bytes"},
                "percentunit",
            ),
            Panel("Free of the stack's disk", {"free": "min(mesh_disk_free_ratio)"}, "percentunit"),
            Panel(
                "Inodes free",
                {"{{instance}} {{mountpoint}}": "node_filesystem_files_free / (node_filesystem_files > 0)"},
                "percentunit",
            ),
            Panel(
                "Time busy",
                {"{{instance}} {{device}}": f"rate(node_disk_io_time_seconds_total[{RATE}])"},
                "percentunit",
            ),
            Panel("Written", {"{{instance}} {{device}}": f"rate(node_disk_written_bytes_total[{RATE}])"}, "Bps"),
        ],
        "File descriptors and clock": [
            Panel(
                "File descriptors of the machine",
                {"{{instance}} open": "node_filefd_allocated", "{{instance}} allowed": "node_filefd_maximum"},
            ),
            Panel("File descriptors of processes", {"{{pod}}": 'process_open_fds{job="applications"}'}),
            Panel("Clock's offset", {"{{instance}}": "node_timex_offset_seconds"}, "s"),
            Panel("Clock synchronised", {"{{instance}}": "node_timex_sync_status"}),
            Panel(
                "PostgreSQL's clocks against Prometheus's",
                {"{{pod}}": "pg_clock_seconds - timestamp(pg_clock_seconds)"},
                "s",
            ),
        ],
    },
)
