"""Build llgbm from settings.ini, the one source of package metadata."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
ini = ConfigParser(delimiters=["="])
ini.read(here / "settings.ini", encoding="utf-8")
cfg = ini["DEFAULT"]
extras = {k.removesuffix("_requirements"): v.split() for k, v in cfg.items() if k.endswith("_requirements")}

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    license="Apache-2.0",
    keywords=cfg["keywords"].split(),
    url=f"https://github.com/{cfg['user']}/{cfg['repo']}",
    classifiers=["Development Status :: 3 - Alpha", "Intended Audience :: Science/Research",
                 "Programming Language :: Python :: 3", "Topic :: Scientific/Engineering :: Artificial Intelligence"],
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    # The lab's base model lives in data/lab and travels inside the wheel as llgbm/lab_data, the panels' notebooks as llgbm/apps.
    packages=[*find_packages(include=["llgbm", "llgbm.*"]), "llgbm.lab_data", "llgbm.apps"],
    package_dir={"llgbm.lab_data": "data/lab", "llgbm.apps": "nbs/apps"},
    package_data={"llgbm": ["assets/*/*"], "llgbm.lab_data": ["**/*"], "llgbm.apps": ["*.ipynb"]},
    entry_points={"console_scripts": cfg["console_scripts"].split(), "nbdev": [f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"]},
    zip_safe=False,
)
