"""Would the tests notice a wrong equation? One thing is changed, and the tests are run."""
