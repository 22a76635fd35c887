/**
 * Ends a test run with one line, `N passed, N failed`, over all projects. A file that could not be loaded and an error
 * outside every test count as failed; so does a test that was left out, because nothing here is skipped on purpose.
 */
export default class SummaryReporter {
  /** @param {ReadonlyArray<import('vitest/node').TestModule>} modules @param {ReadonlyArray<unknown>} unhandledErrors */
  onTestRunEnd(modules, unhandledErrors) {
    let passed = 0;
    let failed = unhandledErrors.length;
    for (const module of modules) {
      let failedHere = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed += 1;
        else if (state === 'failed') failedHere += 1;
        else if (!filteredByName(test)) failedHere += 1;
      }
      if (failedHere === 0 && module.state() === 'failed') failedHere = 1;
      failed += failedHere;
    }
    // After the default reporter, which is called first and prints at once.
    setImmediate(() => console.log(`${passed} passed, ${failed} failed`));
  }
}

/** `vitest -t name` marks the rest as skipped; that is a choice of who runs it. */
function filteredByName(test) {
  return test.project.vitest.config.testNamePattern !== undefined;
}
