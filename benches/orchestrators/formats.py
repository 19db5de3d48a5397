"""The graph written for each of the peers, as a user of that tool would write it.

Each function returns files: path → text.
"""

import json
from textwrap import dedent

from graph import Graph, Task

Files = dict[str, str]


def command(task: Task) -> str:
    return f"cat {' '.join(task.inputs)} > {task.output}"


def shell(graph: Graph) -> Files:
    """The floor: the same commands, one after the other, each in a shell of its own as in the other tools."""
    return {"run.sh": "set -e\n" + "".join(f"sh -c '{command(t)}'\n" for t in graph.tasks)}


def make(graph: Graph) -> Files:
    rules = "".join(f"{t.output}: {' '.join(t.inputs)}\n\t@{command(t)}\n" for t in graph.tasks)
    return {"Makefile": f".PHONY: all\nall: {' '.join(t.output for t in graph.tasks)}\n{rules}"}


def ninja(graph: Graph) -> Files:
    builds = "".join(f"build {t.output}: cat {' '.join(t.inputs)}\n" for t in graph.tasks)
    return {"build.ninja": f"rule cat\n  command = cat $in > $out\n{builds}"}


def doit(graph: Graph) -> Files:
    script = """\
        import json

        DOIT_CONFIG = {"verbosity": 0}


        def task_study():
            with open("dag.json") as file:
                tasks = json.load(file)
            for name, inputs, output in tasks:
                action = f"cat {' '.join(inputs)} > {output}"
                yield {"name": name, "file_dep": inputs, "targets": [output], "actions": [action]}
        """
    return {"dodo.py": dedent(script), "dag.json": listing(graph)}


def redun(graph: Graph) -> Files:
    script = """\
        import json
        import subprocess

        from redun import File, task

        redun_namespace = "study"


        @task()
        def cat(inputs, output):
            subprocess.run(f"cat {' '.join(f.path for f in inputs)} > {output}", shell=True, check=True)
            return File(output)


        @task()
        def main():
            made = {}
            with open("dag.json") as file:
                tasks = json.load(file)
            for _, inputs, output in tasks:
                made[output] = cat([made[p] if p in made else File(p) for p in inputs], output)
            return list(made.values())
        """
    return {"workflow.py": dedent(script), "dag.json": listing(graph)}


def listing(graph: Graph) -> str:
    return json.dumps([[t.name, t.inputs, t.output] for t in graph.tasks])


def snakemake(graph: Graph) -> Files:
    """A rule per phase, with wildcards and input functions."""
    c, d, e, f, g = graph.counts.values()
    rules = {
        "C": "'src/c_{i}'",
        "D": f"lambda w: f'out/C_{{int(w.i) * {c} // {d}}}'",
        "E": f"lambda w: f'out/D_{{int(w.i) * {d} // {e}}}'",
        "F": f"lambda w: [f'out/E_{{int(w.i) * {e} // {f}}}', f'src/m_{{int(w.i) % 4}}']",
        "G": "lambda w: [f'out/F_{w.i}', truth(int(w.i))]",
    }
    text = dedent(f"""\
        def truth(i):
            return 'src/g_last' if i == {g - 1} else f'out/D_{{(i * {e} // {f}) * {d} // {e}}}'

        rule all:
            input: expand('out/G_{{i}}', i=range({g}))
        """)
    for phase, inputs in rules.items():
        text += f"\nrule {phase}:\n    input: {inputs}\n    output: 'out/{phase}_{{i}}'\n"
        text += "    shell: 'cat {input} > {output}'\n"
    return {"Snakefile": text}


def dvc(graph: Graph) -> Files:
    """A `foreach` stage per phase; and the shell loop, for what it makes can be committed much faster than
    DVC makes it."""
    text = "stages:\n"
    for phase in graph.counts:
        tasks = [task for task in graph.tasks if task.phase == phase]
        slots = [f"i{k}" for k in range(len(tasks[0].inputs))]
        text += f"  {phase}:\n    foreach:\n"
        for task in tasks:
            inputs = ", ".join(f"{slot}: {path}" for slot, path in zip(slots, task.inputs, strict=True))
            text += f"    - {{{inputs}, out: {task.output}}}\n"
        deps = [f"${{item.{slot}}}" for slot in slots]
        text += f"    do:\n      cmd: cat {' '.join(deps)} > ${{item.out}}\n      deps:\n"
        text += "".join(f"      - {dep}\n" for dep in deps) + "      outs:\n      - ${item.out}\n"
    return shell(graph) | {"dvc.yaml": text}


WRITERS = {
    "sh": shell,
    "make": make,
    "ninja": ninja,
    "n2": ninja,
    "doit": doit,
    "snakemake": snakemake,
    "dvc": dvc,
    "redun": redun,
}
