"""The graph that every tool is given: a study C→D→E→F→G as tasks that copy files.

2, 8, 10, 40 and 40 % of the tasks are C (dose), D (overlap view), E (training split), F (model) and
G (score of F against the truth of its D). Each task writes its inputs, one after the other, to its output,
so what any file must hold can be computed without running anything.
"""

from dataclasses import dataclass
from functools import cached_property

SHAPES = ("m100", "m1000", "m10000", "m100000")
#: The source whose change reaches one task, and the one whose change reaches fifty.
LEAF, FIFTY = "src/g_last", "src/c_0"
#: The five E of a C read its four D in this order.
VIEW_OF_SPLIT = (0, 0, 1, 2, 3)


@dataclass(frozen=True)
class Task:
    """`cat inputs > output`. `name` is a letter of the phase and a number: `F_37`."""

    name: str
    inputs: tuple[str, ...]
    output: str

    @property
    def phase(self) -> str:
        return self.name[0]

    @property
    def number(self) -> int:
        return int(self.name[2:])


@dataclass(frozen=True)
class Graph:
    shape: str

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"unknown shape {self.shape}: expected one of {', '.join(SHAPES)}")

    def __len__(self) -> int:
        return int(self.shape[1:])

    @property
    def counts(self) -> dict[str, int]:
        """Phase → number of its tasks."""
        shares = {"C": 2, "D": 8, "E": 10, "F": 40, "G": 40}
        return {phase: len(self) * share // 100 for phase, share in shares.items()}

    @cached_property
    def tasks(self) -> list[Task]:
        """All tasks, producers before consumers."""
        c, d, e, f, g = self.counts.values()
        made = [Task(f"C_{i}", (f"src/c_{i}",), f"out/C_{i}") for i in range(c)]
        made += [Task(f"D_{i}", (f"out/C_{i * c // d}",), f"out/D_{i}") for i in range(d)]
        made += [Task(f"E_{i}", (f"out/D_{i * d // e}",), f"out/E_{i}") for i in range(e)]
        made += [Task(f"F_{i}", (f"out/E_{i * e // f}", f"src/m_{i % 4}"), f"out/F_{i}") for i in range(f)]
        for i in range(g):
            truth = LEAF if i == g - 1 else f"out/D_{(i * e // f) * d // e}"
            made.append(Task(f"G_{i}", (f"out/F_{i}", truth), f"out/G_{i}"))
        return made

    @cached_property
    def sources(self) -> list[str]:
        return sorted({path for task in self.tasks for path in task.inputs if path.startswith("src/")})

    def expected(self, versions: dict[str, int]) -> dict[str, bytes]:
        """Task → what its output must hold, if each source is at its version (1 unless given)."""
        held = {path: source_text(path, versions.get(path, 1)) for path in self.sources}
        for task in self.tasks:
            held[task.output] = b"".join(held[path] for path in task.inputs)
        return {task.name: held[task.output] for task in self.tasks}

    def point(self, task: Task) -> dict[str, int]:
        """Where a task of E, F or G lies in the study's space; its C and D for those before."""
        if task.phase == "C":
            return {"dose": task.number}
        if task.phase == "D":
            return {"dose": task.number // 4, "view": task.number % 4}
        dose, split = divmod(task.number if task.phase == "E" else task.number // 4, 5)
        point = {"dose": dose, "view": VIEW_OF_SPLIT[split], "split": split}
        return point if task.phase == "E" else point | {"model": task.number % 4}


def source_text(path: str, version: int) -> bytes:
    return f"{path} v{version}\n".encode()
