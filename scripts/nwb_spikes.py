"""Spikes of a units table, counted in bins."""
import numpy as np

from recorded_session import Refused


class Units:
    """Counts for each unit. Spikes are read one unit at a time; counts take 4 bytes for each bin and unit."""

    filled = 0

    def __init__(self, table):
        if "spike_times" not in table.colnames:
            raise Refused(
                f"the units table has no spike times (its columns: {', '.join(table.colnames)}); "
                "name a series with --features"
            )
        self.table = table
        self.names = [f"unit{identifier}" for identifier in table.id[:]]
        if not self.names:
            raise Refused("the units table has no units")
        if len(set(self.names)) < len(self.names):
            self.names = [f"unit{place}" for place in range(len(self.names))]
        self.counts = None

    def spikes(self, unit):
        times = np.asarray(self.table.get_unit_spike_times(unit), "f8")
        if not np.all(np.isfinite(times)):
            raise Refused(f"{self.names[unit]} has spike times that are no numbers; correct the file")
        return times

    def span(self):
        """Seconds of the first and of the last spike."""
        ends = [(times.min(), times.max()) for times in map(self.spikes, range(len(self.names))) if len(times)]
        if not ends:
            raise Refused("no unit has a spike")
        return min(begin for begin, _ in ends), max(end for _, end in ends)

    def count(self, edges):
        self.counts = np.zeros((len(edges) - 1, len(self.names)), "u4")
        for unit in range(len(self.names)):
            places = np.searchsorted(edges, self.spikes(unit), side="right") - 1
            places = places[(places >= 0) & (places < len(edges) - 1)]
            self.counts[:, unit] = np.bincount(places, minlength=len(edges) - 1)

    def usable(self, ends, width):
        """Bins in which every unit was observed: where it was not, no spike does not mean silence."""
        usable = np.ones(len(ends), bool)
        if "obs_intervals" not in self.table.colnames:
            return usable
        seen = set()
        # rounding of edges must not cost a bin that ends with its interval
        margin = 1e-6 * width
        for unit in range(len(self.names)):
            intervals = np.asarray(self.table.get_unit_obs_intervals(unit), "f8").reshape(-1, 2)
            if intervals.tobytes() in seen or len(intervals) == 0:
                continue
            seen.add(intervals.tobytes())
            inside = np.zeros(len(ends), bool)
            for begin, end in intervals:
                inside |= (ends - width >= begin - margin) & (ends <= end + margin)
            usable &= inside
        return usable

    def rows(self, rows):
        return self.counts[rows].astype("f8")
