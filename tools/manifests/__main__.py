"""
Checks every overlay and component of k8s/: custom resources against their schemas, everything with kube-score.

Run as `python -m tools.manifests`. CRDS names a folder with CustomResourceDefinitions of projects that publish no Go
module (schemas.py lists them). Without kubectl or Go it says so, and checks nothing.
"""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

from stack import settings
from stack.settings import CHECKOUT, Settings
from tools.go_programs import NotThere
from tools.manifests import schemas, score
from tools.manifests.variants import VARIANTS, examples, render


def main() -> int:
    """Print what is wrong; 0 if nothing is."""
    if shutil.which("kubectl") is None:
        print("manifests: not checked: no kubectl")
        return 0
    try:
        wrong = check(settings.read(os.environ, checkout=CHECKOUT))
    except NotThere as error:
        print(f"manifests: not checked: {error}")
        return 0
    print("\n".join(wrong))
    return 1 if wrong else 0


def check(chosen: Settings) -> list[str]:
    """Return what is wrong with any variant, one a line."""
    known = schemas.known()
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        rendered = dict(zip(VARIANTS, threads.map(render, VARIANTS.values()), strict=True))
    wrong = [f"examples: {each}" for each in schemas.errors(examples(), known)]
    found: set[score.Finding] = set()
    for name, objects in rendered.items():
        scored = score.findings(chosen, objects)
        found |= scored.keys()
        wrong += [f"{name}: {each}" for each in (*schemas.errors(objects, known), *score.unexpected(scored))]
        for group in schemas.unchecked(objects, known):
            print(f"{name}: {group} not checked: CRDS can name a folder with {schemas.ELSEWHERE[group]}")
    return [*wrong, *score.stale(found)]


if __name__ == "__main__":
    sys.exit(main())
