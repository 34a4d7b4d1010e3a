FIGURES = {}
class F:
    def as_markdown(self): return ""
FIGURES = {k: F() for k in "bias plan dual iterates informative softmin e3 mmd collapse unrolled complexity cells counter".split()}
def figures_page(): return "# Figures\n"
