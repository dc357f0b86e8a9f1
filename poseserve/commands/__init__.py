"""The verbs of `poseserve`, one a file: HELP, add_arguments(parser) and run(args), which reads them for a function that
Python code can call as well."""
