"""Out: what is said goes to the terminal as it comes, and into the file of the day."""

import os


class Out:
    def __init__(self, path):
        self.path = path
        if path:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            open(path, "w").close()

    def say(self, text):
        print(text, flush=True)
        if self.path:
            with open(self.path, "a") as out:
                out.write(text + "\n")
