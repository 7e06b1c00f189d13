"""The trials table of an NWB file as rows of `t.csv`: trial, target, cursor and hold at the start of each bin."""
import sys
from difflib import get_close_matches

import numpy as np

from nwb_series import choose
from recorded_session import Refused

HEADER = ["time", "trial", "target_x", "target_y", "cursor_x", "cursor_y", "hold"]
OWN_CURSOR = "cursor_position"


class Trials:
    """A table of a task, for any times."""

    header = HEADER

    def __init__(self, starts, stops, numbers, targets, radii, cursor):
        order = np.argsort(starts, kind="stable")
        self.starts, self.stops, self.numbers = starts[order], stops[order], numbers[order]
        self.targets, self.radii = targets[order], radii[order]
        self.cursor, self.places = cursor

    @classmethod
    def of(cls, arguments, file, series):
        """The task of a file; none where it has none and nobody asked for it."""
        asked = [name for name in ("targets", "cursor", "radius", "trial") if getattr(arguments, name)]

        def lacks(what):
            if asked:
                raise Refused(f"--{asked[0]}: {what}")
            print(f"no t.csv: {what}", file=sys.stderr)

        table = file.trials
        if table is None or len(table) == 0:
            return lacks("the file has no trials")
        if not arguments.targets and not {"target_x", "target_y"} <= set(table.colnames):
            return lacks(
                "--targets has to name the columns of the trials that hold the target; "
                f"there are {', '.join(table.colnames)}"
            )
        if not arguments.cursor and not any(path.endswith(f"/{OWN_CURSOR}") for path in series):
            return lacks("--cursor has to name the series with the cursor's position; --list shows what there is")
        cursor, places, _ = choose("--cursor", arguments.cursor or OWN_CURSOR, series)
        if len(places) != 2:
            raise Refused(f"--cursor {cursor.path} has {len(places)} columns; name those of x and y after a colon")
        targets = _targets(arguments.targets or "target_x,target_y", table)
        radius = arguments.radius or ("target_radius" if "target_radius" in table.colnames else None)
        try:
            radii = np.full(len(table), float(radius) if radius else np.nan)
        except ValueError:
            radii = _numbers("--radius", radius, table).reshape(len(table))
        number = arguments.trial or ("trial" if "trial" in table.colnames else None)
        numbers = _numbers("--trial", number, table).reshape(-1) if number else np.arange(len(table), dtype="f8")
        if not np.all((numbers >= 0) & (numbers == np.floor(numbers))):
            raise Refused(f"--trial {number}: whole numbers from 0 are expected")
        starts, stops = np.asarray(table["start_time"][:], "f8"), np.asarray(table["stop_time"][:], "f8")
        return cls(starts, stops, numbers, targets, radii, (cursor, places))

    def rows(self, times):
        """Rows at the starts of bins. Between trials the newest trial's number stands, and no target.

        The cursor keeps its first and last place before and after its series.
        """
        trial = np.searchsorted(self.starts, times + 1e-9, side="right") - 1
        known = np.maximum(trial, 0)
        running = (trial >= 0) & (times < self.stops[known] - 1e-9)
        target = np.where(running[:, None], self.targets[known], np.nan)
        # half a target is none
        target[~np.all(np.isfinite(target), axis=1)] = np.nan
        within = np.clip(times, self.cursor.times[0], self.cursor.times[-1])
        cursor = self.cursor.at(within, self.places, np.inf)
        if not np.all(np.isfinite(cursor)):
            place = float(times[np.argmin(np.all(np.isfinite(cursor), axis=1))])
            raise Refused(f"--cursor {self.cursor.path} is not a number at {place:.3f} s; every row of t.csv needs it")
        with np.errstate(invalid="ignore"):
            hold = np.hypot(*(cursor - target).T) <= self.radii[known]
        return np.column_stack([self.numbers[known], target, cursor, hold])


def _targets(wanted, table):
    columns = wanted.split(",")
    if len(columns) == 2:
        parts = [_numbers("--targets", column, table) for column in columns]
        if all(part.size == len(table) for part in parts):
            return np.column_stack([part.reshape(-1) for part in parts])
    elif len(columns) == 1:
        both = _numbers("--targets", wanted, table)
        if both.ndim == 2 and both.shape[1] >= 2:
            return both[:, :2]
    raise Refused(f"--targets {wanted}: two columns with a number each, or one with x and y, are expected")


def _numbers(option, column, table):
    if column not in table.colnames:
        near = get_close_matches(column, table.colnames, 3, 0.4)
        raise Refused(
            f"{option} {column}: the trials have no such column; "
            + (f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(table.colnames)}")
        )
    try:
        return np.asarray(np.stack([np.asarray(value, "f8") for value in table[column][:]]), "f8")
    except (ValueError, TypeError) as error:
        raise Refused(f"{option} {column}: each trial needs a number there, or equally many ({error})") from error
