# Two commands matter: `make demo` and `make test`. Both set up what they need first.
.DEFAULT_GOAL := help
.PHONY: help setup setup-site demo demo-reset dev test check bench lock pictures walkthrough clean

SETUP = python=$$(sh scripts/python.sh "$(PYTHON)" $@) && "$$python" -m scripts.setup $(if $(PYTHON),--chosen)
RUN = .venv/bin/python -m

help:  ## Show this list
	@echo "CoreCMR. Use: make TARGET"
	@sed -n 's/^\([a-z-]*\):  ## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14
	@echo "PYTHON=/path/to/python3 chooses the Python (3.11, 3.12 or 3.13)."

setup:  ## Make the Python environment with all packages and build the front end
	@$(SETUP) dev

setup-site:  ## Make what a site on a server needs, without the demo's database
	@$(SETUP) base

demo:  ## Start the site with people and an analysed study; Ctrl-C stops it
	@$(SETUP) --more 5 demo && exec $(RUN) scripts.demo --after 3 $(ARGS)

demo-reset:  ## Delete the demo's people, studies and database
	@$(SETUP) demo && $(RUN) scripts.demo --reset

dev:  ## Start the site for development: reloads Python, builds the front end anew
	@$(SETUP) dev && exec $(RUN) scripts.dev

test:  ## Run the whole test suite (ARGS="-k name" passes options to pytest)
	@$(SETUP) dev && $(RUN) pytest $(ARGS)

check:  ## Run the static checks
	@$(SETUP) dev && $(RUN) scripts.check

bench:  ## Measure the engine against known truths; fails where a figure falls short
	@$(SETUP) dev && $(RUN) scripts.bench $(ARGS)

drill-%:
	@$(SETUP) dev && $(RUN) scripts.drill $* $(ARGS)

lock:  ## Compile requirements/*.in to hashed lock files (ARGS=--upgrade takes newer versions)
	@$(SETUP) dev && $(RUN) scripts.lock $(ARGS)

pictures:  ## Take the pictures of README.md anew, from a demo of its own
	@$(SETUP) dev && $(RUN) scripts.pictures

walkthrough:  ## Film the phantom's way through the portal as var/walkthrough.mp4
	@$(SETUP) dev && $(RUN) scripts.walkthrough

clean:  ## Stop this checkout's databases; delete all that was made, the demo's data too
	@python=$$(sh scripts/python.sh "$(PYTHON)" $@) && "$$python" -m scripts.clean
