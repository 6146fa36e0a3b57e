/** Before anything is painted: the theme that was chosen here, if any. */
{
  const theme = localStorage.getItem('switchyard.theme');
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
}
