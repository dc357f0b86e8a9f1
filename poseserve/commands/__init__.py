"""The verbs of `poseserve`, one a file: add_arguments(parser) and run(args), which reads them for a function that
Python code can call as well. cli.py lists them."""
