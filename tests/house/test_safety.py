"""Nothing the library reads may run: no pickle, no eval, no remote code."""

import ast

from tests.house.tree import Module, complaints, modules

FORBIDDEN_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}
FORBIDDEN_CALLS = {
    "eval": "parse the text (json, int, float) instead",
    "exec": "write the code down instead",
    "compile": "write the code down instead",
    "__import__": "use an import statement or importlib.import_module on a name of our own",
    "torch.load": "use safetensors (artifacts.load_arrays)",
    "torch.save": "use safetensors (artifacts.save_arrays)",
    "yaml.load": "use JSON",
    "yaml.unsafe_load": "use JSON",
    "os.system": "use subprocess.run with a list",
}
FORBIDDEN_FLAGS = {"allow_pickle", "trust_remote_code", "shell"}


def unsafe(module: Module) -> list[str]:
    """Calls and imports that can run what they read."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            bad = [name for name in names if name.partition(".")[0] in FORBIDDEN_MODULES]
            found += [
                f"{module.at(node)} imports {name}: store arrays as safetensors and the rest as JSON"
                for name in bad
            ]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in FORBIDDEN_CALLS:
                found.append(f"{module.at(node)} calls {name}: {FORBIDDEN_CALLS[name]}")
            for keyword in node.keywords:
                if keyword.arg in FORBIDDEN_FLAGS and not _is_false(keyword.value):
                    found.append(f"{module.at(node)} passes {keyword.arg}: leave it out, or say False")
    return found


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def test_nothing_in_the_library_runs_what_it_reads():
    found = [line for module in modules() for line in unsafe(module)]
    assert not found, complaints(found)


def test_every_forbidden_thing_is_caught():
    calls = [f"{name}(x)" for name in FORBIDDEN_CALLS]
    flags = [f"f(x, {flag}=True)" for flag in FORBIDDEN_FLAGS] + ["f(x, allow_pickle=flag)"]
    imports = [f"import {name}" for name in FORBIDDEN_MODULES] + ["from pickle import loads"]
    for text in [*calls, *flags, *imports]:
        assert unsafe(Module("retrograd.bad", text)), text


def test_what_only_looks_alike_is_free():
    assert not unsafe(
        Module("retrograd.good", "model.eval()\nre.compile('x')\nnp.load(p, allow_pickle=False)\n")
    )
